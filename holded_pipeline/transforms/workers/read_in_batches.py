"""From read units to batches of events, for a runner that passes batches on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam

from holded_pipeline.model.values import Event
from holded_pipeline.transforms.beam.event_batches import EventBatchDoFn, as_beam_batch
from holded_pipeline.transforms.beam.interpreter_settings import settings_for_reading
from holded_pipeline.transforms.workers.following_units import UnitAndFollowing
from holded_pipeline.transforms.workers.read_units import BYTES_AT_ONCE, LINES_AT_ONCE, ReadUnits

_ENOUGH: Final = LINES_AT_ONCE // 2  # a batch costs as much as some events
_MOST_SECONDS: Final = 1.0


class ReadUnitsInBatches(EventBatchDoFn, ReadUnits):
    """`ReadUnits` with its events in batches: lines that were read together, or the events of several small objects."""

    @beam.DoFn.yields_batches
    def process(self, unit: UnitAndFollowing) -> Iterator[Any]:
        with settings_for_reading():  # the steps that follow run within this block
            yield from self._batches(unit)

    def _batches(self, unit: UnitAndFollowing) -> Iterator[Any]:
        waiting: list[Event] = []
        since = size = 0.0
        for output in self.outputs(*unit):
            if not isinstance(output, list):
                yield beam.pvalue.TaggedOutput(output.tag, [output.value])
                continue
            now = time.monotonic()
            if not waiting:
                since, size = now, 0
            waiting += output
            size += sum([len(event.raw) for event in output])
            if (
                len(waiting) >= _ENOUGH
                or size >= BYTES_AT_ONCE
                or now - since >= _MOST_SECONDS
                or self.reader.calls_user_code  # what is slow does not wait
            ):
                yield as_beam_batch(waiting, None)
                waiting = []
        if waiting:
            yield as_beam_batch(waiting, None)
