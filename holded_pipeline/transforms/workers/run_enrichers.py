"""What Enrich does on a worker: enrichers that take one event, and those that take several at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import attrs
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.enriching.quality import broken_rules, refuse_below, score_of
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.transforms.beam.outcome import NAMESPACE, Counters
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls

STAGE = "enrich"
_BATCH_BYTES = 8_000_000  # of the records behind a batch's events, so that a hundred giants do not fill the memory
_SCORED_TYPES = 50  # types of events that have a distribution of their own; a metric for each of thousands costs all

Step = Callable[[Draft], None]


@attrs.frozen
class EnrichSettings:
    """What all parts of one Enrich share. `is_last` marks the one that counts what passed."""

    run_id: str
    step: str
    min_quality: float | None
    is_last: bool


class RunEnrichers(beam.DoFn):
    """Runs enrichers on each event, one after the other."""

    def __init__(self, enrichers: Sequence[Enricher], settings: EnrichSettings) -> None:
        self._enrichers = enrichers
        self._settings = settings
        self._outputs = _Outputs(settings)

    def setup(self) -> None:
        self._calls: list[EnricherCalls] = []
        try:
            for enricher in self._enrichers:
                self._calls.append(EnricherCalls(enricher))
        except HoldedPipelineError:
            self.teardown()  # those that were opened before; Beam would not
            raise
        judge = Judge(self._settings.min_quality)
        self._steps: list[Step] = []
        for calls in self._calls:
            self._steps += [calls.apply] if calls.enricher.name != "quality" else [calls.apply, judge.look]

    def process(self, event: Event) -> Iterator[Any]:
        try:
            draft = Draft(event)
            for step in self._steps:
                step(draft)
        except RejectRecord as fault:
            yield self._outputs.rejected(fault, event)
        else:
            yield self._outputs.passed(draft)

    def finish_bundle(self) -> None:
        for calls in self._calls:
            self._outputs.count(calls)

    def teardown(self) -> None:
        for calls in getattr(self, "_calls", ()):
            calls.close()


@attrs.frozen
class _Waiting:
    """An event in a batch, with its time and window."""

    draft: Draft
    timestamp: Timestamp
    window: BoundedWindow

    def windowed(self, value: Any) -> WindowedValue:
        return WindowedValue(value, self.timestamp, (self.window,))


class RunBatches(beam.DoFn):
    """Gives events to one enricher in batches."""

    def __init__(self, enricher: Enricher, settings: EnrichSettings) -> None:
        self._enricher = enricher
        self._outputs = _Outputs(settings)
        self._judge = Judge(settings.min_quality) if enricher.name == "quality" else None

    def setup(self) -> None:
        self._calls = EnricherCalls(self._enricher)

    def start_bundle(self) -> None:
        self._begin()

    def process(
        self,
        event: Event,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        try:
            draft = Draft(event)
        except RejectRecord as fault:
            yield self._outputs.rejected(fault, event)
            return
        if not self._waiting:
            self._begun = time.monotonic()
        self._waiting.append(_Waiting(draft, timestamp, window))
        self._bytes += len(event.raw)
        if (
            len(self._waiting) >= self._enricher.batch_size
            or self._bytes >= _BATCH_BYTES
            or time.monotonic() - self._begun >= self._enricher.batch_seconds
        ):
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        if self._waiting:
            yield from self._flush()
        self._outputs.count(self._calls)

    def teardown(self) -> None:
        if hasattr(self, "_calls"):
            self._calls.close()

    def _begin(self) -> None:
        self._waiting: list[_Waiting] = []
        self._bytes = 0

    def _flush(self) -> Iterator[Any]:
        waiting = self._waiting
        outcomes = self._calls.outcomes([each.draft for each in waiting])
        for each, outcome in zip(waiting, outcomes, strict=True):
            try:
                self._enricher.settle(each.draft, outcome)
                if self._judge is not None:
                    self._judge.look(each.draft)
            except RejectRecord as fault:
                output = self._outputs.rejected(fault, each.draft.before)
                output.value = each.windowed(output.value)
                yield output
            else:
                yield each.windowed(self._outputs.passed(each.draft))
        self._begin()


class Judge:
    """Measures the scores that the enricher `quality` left, and refuses those under a minimum."""

    def __init__(self, minimum: float | None) -> None:
        self._minimum = minimum
        self._scores: dict[str, Any] = {}
        self._counters = Counters(STAGE)

    def look(self, draft: Draft) -> None:
        """Looks at one event.

        Raises:
            RejectRecord: its score is under the minimum.
        """
        quality = draft.result("quality")
        for rule in broken_rules(quality):
            self._counters.add(f"rule_errors.{rule}")
        score = score_of(quality)
        if score is None:
            return
        self._distribution(draft.before.type).update(round(score * 1000))
        if self._minimum is not None:
            refuse_below(quality, self._minimum)

    def _distribution(self, event_type: str) -> Any:
        scores = self._scores.get(event_type)
        if scores is None:
            known = len(self._scores) < _SCORED_TYPES
            name = event_type.rpartition("\\")[2][:100] if known else "other"
            scores = Metrics.distribution(NAMESPACE, f"{STAGE}.quality_per_mille.{name}")
            if known:
                self._scores[event_type] = scores
        return scores


class _Outputs:
    """Events and rejections on their way out, counted."""

    def __init__(self, settings: EnrichSettings) -> None:
        self._settings = settings
        self._counters = Counters(STAGE)

    def count(self, calls: EnricherCalls) -> None:
        for name, amount in calls.counts().items():
            self._counters.add(f"{calls.enricher.name}.{name}", amount)

    def passed(self, draft: Draft) -> Event:
        for name in draft.skipped:
            self._counters.add(f"skipped.{name}")
        if self._settings.is_last:
            self._counters.add("passed")
        return draft.event()

    def rejected(self, fault: RejectRecord, event: Event) -> beam.pvalue.TaggedOutput:
        return self._counters.rejected(
            reject(
                fault,
                stage=STAGE,
                raw=event.raw,
                run_id=self._settings.run_id,
                step=self._settings.step,
                rejected_at=datetime.now(UTC),
                event=event,
            )
        )
