"""One id for each run, and one for each step of it, so that whatever was written or refused can be told apart."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from holded_pipeline.transforms.beam.runners import refuse_losing_runner


class RunOptions(PipelineOptions):
    """`--run_id` on the command line, beside Beam's own options."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--run_id", default=None, help="names this run in objects and rejections; made up when left out"
        )


def run_id_of(pipeline: beam.Pipeline) -> str:
    """The run's id; all transforms of one pipeline get the same one. Made from the time and a random part.

    Raises:
        ConfigurationError: the pipeline has a runner that loses records (see `runners`).
    """
    refuse_losing_runner(pipeline.runner)
    options = pipeline._options.view_as(RunOptions)  # noqa: SLF001  Beam has no public way to them
    if not options.run_id:
        options.run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    return str(options.run_id)


def step_of(pipeline: beam.Pipeline) -> str:
    """The full label of the transform that is being applied.

    No other one of the pipeline has it, and it is the same when the pipeline is built again.
    """
    return str(pipeline._current_transform().full_label)  # noqa: SLF001  Beam has no public way to it
