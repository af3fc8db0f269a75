"""The id of a run and the label of a step: objects and rejections have both, so different ones never mix."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from holded_pipeline.transforms.beam.runners import validate_runner


class RunOptions(PipelineOptions):
    """`--run_id`, `--code_version` and `--strict` on the command line, beside Beam's own options."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--run_id",
            default=None,
            help="the id of this run in objects and rejections; made from the time and a random part if omitted",
        )
        parser.add_argument(
            "--code_version",
            default=None,
            help="the version of your code in the record of the run; HOLDED_CODE_VERSION or the git commit if omitted",
        )
        parser.add_argument(
            "--strict",
            default=False,
            action="store_true",
            help="a pipeline in which nothing reads the rejected records of a transform does not run",
        )


def run_id_of(pipeline: beam.Pipeline) -> str:
    """The id of the run, the same for all transforms of a pipeline: the option, or the time and a random part.

    Raises:
        ConfigurationError: the runner of the pipeline loses records (see `runners`).
    """
    validate_runner(pipeline.runner)
    options = pipeline._options.view_as(RunOptions)  # noqa: SLF001  Beam has no public access to them
    if not options.run_id:
        options.run_id = new_run_id()
    return str(options.run_id)


def new_run_id() -> str:
    """An id for a run: the time and a random part."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def is_strict(pipeline: beam.Pipeline) -> bool:
    """Whether what would only be a warning about the pipeline is an error."""
    return bool(pipeline.options.view_as(RunOptions).strict)


def step_of(pipeline: beam.Pipeline) -> str:
    """The full label of the transform that is being applied.

    It is unique in the pipeline, and the same when the pipeline is built again.
    """
    return str(pipeline._current_transform().full_label)  # noqa: SLF001  Beam has no public access to it
