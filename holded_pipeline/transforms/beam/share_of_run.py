"""Which share of a run a pipeline is: known to the transforms that are applied to it, by its options."""

from __future__ import annotations

import secrets
from argparse import SUPPRESS, ArgumentParser
from weakref import WeakKeyDictionary

import apache_beam as beam
import attrs
from apache_beam.options.pipeline_options import PipelineOptions

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.manifests import ManifestPlace
from holded_pipeline.runs.share_results import ShareAttempt
from holded_pipeline.store.read_plan import ReadPlan
from holded_pipeline.transforms.beam.run_id import RunOptions


class ShareOptions(PipelineOptions):
    """`--share_attempt`, which `run_share` sets; nobody gives it on a command line."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument("--share_attempt", default=None, help=SUPPRESS)


def new_attempt(run_id: str, share: int) -> ShareAttempt:
    """An attempt at a share, with a token of its own."""
    return ShareAttempt(run_id, share, secrets.token_hex(4))


def options_of_attempt(attempt: ShareAttempt, options: list[str]) -> PipelineOptions:
    """The options of the pipeline of an attempt, and those of the user."""
    made = PipelineOptions(options)
    made.view_as(RunOptions).run_id = attempt.run_id
    made.view_as(ShareOptions).share_attempt = f"{attempt.share}.{attempt.token}"
    return made


def attempt_of(pipeline: beam.Pipeline) -> ShareAttempt | None:
    """The attempt at a share that a pipeline is; None of any other pipeline."""
    options = pipeline._options  # noqa: SLF001  Beam has no public access to them
    text = options.view_as(ShareOptions).share_attempt
    if text is None:
        return None
    share, _, token = str(text).partition(".")
    return ShareAttempt(str(options.view_as(RunOptions).run_id), int(share), token)


def require_fitting_share(pipeline: beam.Pipeline, planned: object) -> None:
    """Checks that a share, and nothing else, reads with a ledger what `run_shares` gave it.

    Raises:
        ConfigurationError: a share reads something else, or a pipeline that is no share would settle a part of a run.
    """
    is_given = isinstance(planned, ReadPlan) and planned.is_settled_with_others
    if attempt_of(pipeline) is not None and not is_given:
        raise ConfigurationError(
            "every share of the run would read the same with the ledger: let the function read "
            "hp.ReadMinIO(lake, units=share, new_only=ledger), with the share that it is given"
        )
    if is_given and attempt_of(pipeline) is None:
        raise ConfigurationError(
            "the share is of a run that is settled as a whole, so no other pipeline may settle it; apply the "
            "transforms to the pipeline that the function is given, or divide the plan by hp.plan(...).shares(n)"
        )


@attrs.frozen
class Settling:
    """What `SettleObjects` of a share settles.

    Attributes:
        ledger: the ledger.
        sinks: the steps of each sink.
        places: where objects with events are stored.
    """

    ledger: Ledger
    sinks: tuple[tuple[str, ...], ...]
    places: tuple[ManifestPlace, ...]


_settling: WeakKeyDictionary[beam.Pipeline, list[Settling]] = WeakKeyDictionary()


def remember_settling(pipeline: beam.Pipeline, settling: Settling) -> None:
    """Remembers what a share settles."""
    _settling.setdefault(pipeline, []).append(settling)


def settling_of(pipeline: beam.Pipeline) -> list[Settling]:
    """What a share settles."""
    return _settling.get(pipeline, [])
