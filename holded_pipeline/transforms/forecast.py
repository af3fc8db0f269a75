"""forecast: what a replay would do, without writing anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from holded_pipeline.model.values import Event, Outcome, Rejected
from holded_pipeline.rejected.forecast import (
    REPLAY_DROPPED,
    REPLAY_PARKED,
    REPLAY_PASSES,
    Forecast,
    ReplayOutcome,
    StageAndReason,
)
from holded_pipeline.store.minio import MinIO, require_minio
from holded_pipeline.transforms.beam.counts import NAMESPACE
from holded_pipeline.transforms.read_rejected import ReadRejected
from holded_pipeline.transforms.settle_rejected import SettleRejected
from holded_pipeline.transforms.workers.open_rejected import BROKEN, OpenRejected
from holded_pipeline.transforms.write_minio import WriteMinIO
from holded_pipeline.transforms.write_postgres import WritePostgres
from holded_pipeline.transforms.write_rejected import WriteRejected

_NAMESPACE = "holded_pipeline.forecast"
_WRITES = (WritePostgres, WriteMinIO, WriteRejected, SettleRejected)

# A transform, or a function from a PCollection of events to an Outcome. Beam's own types are untyped.
Step = Any


def forecast(
    lake: MinIO,
    prefix: str,
    steps: Sequence[Step],
    *,
    runner: str = "FnApiRunner",
    options: PipelineOptions | None = None,
    **selection: Any,
) -> Forecast:
    """Runs the open rejections of a dead-letter store through steps of a pipeline, and only counts.

    Args:
        lake: the store and its bucket.
        prefix: what `WriteRejected` was given.
        steps: what the events go through, one after the other: transforms that give an `Outcome`, such as
            `ValidateSchema` and `Enrich`, or functions from a PCollection of `Event` to an `Outcome`.
        runner: Beam's runner; the pipeline runs before this returns.
        options: Beam's options.
        selection: filters and settings of `ReadRejected`, by the same names.

    Returns:
        How many open rejections match, and for each reason how many would pass or be rejected again.

    Example:
        >>> found = hp.forecast(lake, "rejected/", [hp.ValidateSchema(schemas, subject="{type}")], stage="validate")
        >>> found.passes <= found.matching
        True

    Raises:
        ValueError: a step would write, or gives no `Outcome`; or an argument is wrong.
        ConfigurationError: as `ReadRejected` and the steps.
        TransientError: as `ReadRejected` and the steps.
    """
    require_minio(lake, "forecast")
    read = ReadRejected(lake, prefix, **selection)
    pipeline = beam.Pipeline(runner=runner, options=options or PipelineOptions([]))
    opened = pipeline | "OpenRejected" >> OpenRejected(lake, prefix, read.selection)
    old = opened | "OldReasons" >> beam.Map(_old_reason)
    replayed = read.replay(opened)
    events = replayed.passed
    outcomes = [_rejected_outcomes(replayed.rejected, "Read"), replayed.parked | beam.Map(_parked_outcome)]
    for number, step in enumerate(steps, 1):
        outcome = _apply(events, step, number)
        events = outcome.passed
        outcomes.append(_rejected_outcomes(outcome.rejected, f"Step{number}"))
    passed = events | "Passed" >> beam.Map(_passed_outcome)
    _ = (
        {"old": old, "new": (passed, *outcomes) | "JoinOutcomes" >> beam.Flatten()}
        | "ById" >> beam.CoGroupByKey()
        | "CountOutcomes" >> beam.ParDo(_CountOutcomes())
    )
    pipeline.visit(_CheckNoWrites())
    result = pipeline.run()
    result.wait_until_finish()
    broken = MetricsFilter().with_namespace(NAMESPACE).with_name(f"replay.{BROKEN}")
    return Forecast.of(_read_counters(result), sum(each.result for each in result.metrics().query(broken)["counters"]))


def _apply(events: beam.PCollection, step: Step, number: int) -> Outcome:
    outcome = events | f"Step{number}" >> step if isinstance(step, beam.PTransform) else step(events)
    if not isinstance(outcome, Outcome):
        raise ValueError(  # noqa: TRY004  the step is of the right type, what it gives is not
            f"step {number}, {step!r}, gives {type(outcome).__name__}; a step takes events and gives an Outcome "
            "(one that writes, or has an error handler, does not)"
        )
    return outcome


class _CheckNoWrites(PipelineVisitor):
    """Raises for a transform that writes, also inside a composite step."""

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        if isinstance(transform_node.transform, _WRITES):
            raise ValueError(  # noqa: TRY004  its type is what makes it a wrong choice
                f"{type(transform_node.transform).__name__} writes, and a forecast must not; "
                "omit it: what it would reject cannot be forecast"
            )


def _old_reason(rejected: Rejected) -> tuple[str, StageAndReason]:
    return rejected.id, (rejected.stage, rejected.reason)


def _parked_outcome(rejected: Rejected) -> tuple[str, ReplayOutcome]:
    return rejected.id, REPLAY_PARKED


def _passed_outcome(event: Event) -> tuple[str | None, ReplayOutcome]:
    return event.replay_of, REPLAY_PASSES


def _rejected_outcomes(rejected: beam.PCollection, name: str) -> beam.PCollection:
    return rejected | f"Rejected{name}" >> beam.Map(_new_outcome)


def _new_outcome(rejected: Rejected) -> tuple[str | None, ReplayOutcome]:
    return rejected.replay_of, (rejected.stage, rejected.reason)


class _CountOutcomes(beam.DoFn):
    """Counts in Beam counters, since the pipeline writes nothing."""

    def process(self, joined: tuple[str, dict[str, Iterable[Any]]]) -> None:
        _, found = joined
        new = sorted(set(found["new"]), key=lambda outcome: (outcome == REPLAY_PASSES, str(outcome)))
        for old in found["old"]:
            # Rejected in any of the branches means that it would be rejected again.
            Metrics.counter(_NAMESPACE, json.dumps([old, new[0] if new else REPLAY_DROPPED])).inc()


def _read_counters(result: Any) -> Iterator[tuple[StageAndReason, ReplayOutcome, int]]:
    for metric in result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]:
        old, outcome = json.loads(metric.key.metric.name)
        yield tuple(old), outcome if isinstance(outcome, str) else tuple(outcome), metric.result
