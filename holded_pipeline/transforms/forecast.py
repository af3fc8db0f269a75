"""forecast: what a replay would do, found out without writing anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from holded_pipeline.model.values import Event, Outcome, Rejected
from holded_pipeline.rejected.forecast import DROPPED, PARKED, PASSES, Fate, Forecast, Refusal
from holded_pipeline.store.minio import MinIO
from holded_pipeline.transforms.beam.outcome import NAMESPACE
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
    """Tries the open rejections of a pile against steps of a pipeline, and only counts.

    Args:
        lake: the store and its bucket.
        prefix: what `WriteRejected` was given.
        steps: what the events go through, one after the other: transforms that give an `Outcome`, such as
            `ValidateSchema` and `Enrich`, or functions from a PCollection of `Event` to an `Outcome`.
        runner: Beam's runner; the pipeline runs before this returns.
        options: Beam's options.
        selection: filters and settings of `ReadRejected`, by the same names.

    Returns:
        How many open rejections match, and what would become of them by the reason they stand rejected for.

    Raises:
        ValueError: a step would write, or gives no `Outcome`; or an argument is wrong.
        ConfigurationError: as `ReadRejected` and the steps.
        TransientError: as `ReadRejected` and the steps.
    """
    read = ReadRejected(lake, prefix, **selection)
    pipeline = beam.Pipeline(runner=runner, options=options or PipelineOptions([]))
    opened = pipeline | "OpenRejected" >> OpenRejected(lake, prefix, read.selection)
    old = opened | "OldReasons" >> beam.Map(_old_reason)
    replayed = read.replay(opened)
    events, fates = replayed.passed, [_refused(replayed.rejected, "Read"), replayed.parked | beam.Map(_parked)]
    for number, step in enumerate(steps, 1):
        outcome = _apply(events, step, number)
        events = outcome.passed
        fates.append(_refused(outcome.rejected, f"Step{number}"))
    passed = events | "Passed" >> beam.Map(_passed)
    _ = (
        {"old": old, "new": (passed, *fates) | "JoinFates" >> beam.Flatten()}
        | "ById" >> beam.CoGroupByKey()
        | "CountFates" >> beam.ParDo(_CountFates())
    )
    pipeline.visit(_RefuseWrites())
    result = pipeline.run()
    result.wait_until_finish()
    broken = MetricsFilter().with_namespace(NAMESPACE).with_name(f"replay.{BROKEN}")
    return Forecast.of(_counted(result), sum(each.result for each in result.metrics().query(broken)["counters"]))


def _apply(events: beam.PCollection, step: Step, number: int) -> Outcome:
    outcome = events | f"Step{number}" >> step if isinstance(step, beam.PTransform) else step(events)
    if not isinstance(outcome, Outcome):
        raise ValueError(  # noqa: TRY004  the step is of the right type, what it gives is not
            f"step {number}, {step!r}, gives {type(outcome).__name__}; a step takes events and gives an Outcome "
            "(one that writes, or has an error handler, does not)"
        )
    return outcome


class _RefuseWrites(PipelineVisitor):
    """Looks into steps that are made of others, too."""

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        if isinstance(transform_node.transform, _WRITES):
            raise ValueError(  # noqa: TRY004  its type is what makes it a wrong choice
                f"{type(transform_node.transform).__name__} writes, and a forecast must not; "
                "leave it out: what it would refuse cannot be foreseen"
            )


def _old_reason(rejected: Rejected) -> tuple[str, Refusal]:
    return rejected.id, (rejected.stage, rejected.reason)


def _parked(rejected: Rejected) -> tuple[str, Fate]:
    return rejected.id, PARKED


def _passed(event: Event) -> tuple[str | None, Fate]:
    return event.replay_of, PASSES


def _refused(rejected: beam.PCollection, name: str) -> beam.PCollection:
    return rejected | f"Refused{name}" >> beam.Map(_new_reason)


def _new_reason(rejected: Rejected) -> tuple[str | None, Fate]:
    return rejected.replay_of, (rejected.stage, rejected.reason)


class _CountFates(beam.DoFn):
    """Counts in counters: the one way out of a pipeline that writes nothing."""

    def process(self, joined: tuple[str, dict[str, Iterable[Any]]]) -> None:
        _, found = joined
        new = sorted(set(found["new"]), key=lambda fate: (fate == PASSES, str(fate)))
        for old in found["old"]:
            # Refused by any of the ways it went means that it would stand rejected again.
            Metrics.counter(_NAMESPACE, json.dumps([old, new[0] if new else DROPPED])).inc()


def _counted(result: Any) -> Iterator[tuple[Refusal, Fate, int]]:
    for metric in result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]:
        old, fate = json.loads(metric.key.metric.name)
        yield tuple(old), fate if isinstance(fate, str) else tuple(fate), metric.result
