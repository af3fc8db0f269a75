"""The DoFn of Enrich for an enricher that takes several events at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import attrs
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.transforms.workers.enrich_outputs import EnrichOutputs, EnrichSettings
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls

_BATCH_BYTES = 8_000_000  # of the raw records of a batch's events, so that large events do not fill the memory


@attrs.frozen
class _WaitingEvent:
    """An event in a batch, with its time and window."""

    draft: Draft
    timestamp: Timestamp
    window: BoundedWindow

    def windowed(self, value: Any) -> WindowedValue:
        return WindowedValue(value, self.timestamp, (self.window,))


class RunBatches(beam.DoFn):
    """Runs one enricher on batches of events."""

    def __init__(self, enricher: Enricher, settings: EnrichSettings) -> None:
        self._enricher = enricher
        self._outputs = EnrichOutputs(settings)
        self._settings = settings

    def setup(self) -> None:
        self._calls = EnricherCalls(self._enricher)

    def start_bundle(self) -> None:
        self._start_batch()

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
            self._started = time.monotonic()
        self._waiting.append(_WaitingEvent(draft, timestamp, window))
        self._bytes += len(event.raw)
        if (
            len(self._waiting) >= self._enricher.batch_size
            or self._bytes >= _BATCH_BYTES
            or time.monotonic() - self._started >= self._enricher.batch_seconds
        ):
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        if self._waiting:
            yield from self._flush()
        self._outputs.count(self._calls)
        self._outputs.flush()

    def teardown(self) -> None:
        if hasattr(self, "_calls"):
            self._calls.close()

    def _start_batch(self) -> None:
        self._waiting: list[_WaitingEvent] = []
        self._bytes = 0

    def _flush(self) -> Iterator[Any]:
        waiting = self._waiting
        outcomes = self._calls.outcomes([each.draft for each in waiting])
        for each, outcome in zip(waiting, outcomes, strict=True):
            try:
                self._enricher.apply_outcome(each.draft, outcome)
                self._settings.check_result(self._enricher, each.draft)
            except RejectRecord as fault:
                output = self._outputs.rejected(fault, each.draft.before)
                output.value = each.windowed(output.value)
                yield output
            else:
                yield each.windowed(self._outputs.passed(each.draft))
        self._start_batch()
