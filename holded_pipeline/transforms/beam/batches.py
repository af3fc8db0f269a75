"""Events a batch at a time, within a bundle.

Beam passes a DoFn one element at a time, so the code of all fused steps runs once for each element, and has left the
processor's caches when its turn comes again. A step that works on some events in one loop takes half the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.window import BoundedWindow, GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.model.carried_text import carried_bytes
from holded_pipeline.model.values import Event

GLOBAL_WINDOW: Final = GlobalWindow()
_MOST_EVENTS = 250
_MOST_BYTES = 1 << 20  # of their records and of what enrichers added

Waiting = tuple[Any, Any, BoundedWindow]
"""An event, its timestamp (None where the DoFn does not ask for it) and its window."""


class BatchDoFn(beam.DoFn):
    """A DoFn that works on a batch of events at a time.

    Subclasses implement `work_on`, and `process`, which calls `add` with what it asks Beam for. A subclass that
    overrides `start_bundle` or `finish_bundle` calls these first. Not for a step that passes on what slow code of a
    user's makes of each event: what follows must not wait for the calls of a whole batch.

    Attributes:
        most_seconds: how long an event waits while others arrive.
    """

    most_seconds = 1.0

    def work_on(self, batch: Sequence[Waiting]) -> Iterable[Any]:
        """The outputs for a batch, each a WindowedValue, or a TaggedOutput of one."""
        raise NotImplementedError

    def start_bundle(self) -> None:
        self._batch: list[Waiting] = []
        self._batch_bytes = 0
        self._batch_since = 0.0

    def finish_bundle(self) -> Iterable[Any]:
        return self.end_batch()

    def add(self, event: Event, timestamp: Any, window: BoundedWindow) -> Iterable[Any]:
        """Adds an event; the outputs of its batch if that is full."""
        batch = self._batch
        now = time.monotonic()
        if not batch:
            self._batch_since = now
        batch.append((event, timestamp, window))
        size = carried_bytes(event)
        self._batch_bytes += _MOST_BYTES if size is None else size  # it does not wait if its size is not known
        if (
            len(batch) >= _MOST_EVENTS
            or self._batch_bytes >= _MOST_BYTES
            or now - self._batch_since >= self.most_seconds
        ):
            return self.end_batch()
        return ()

    def end_batch(self) -> Iterable[Any]:
        """The outputs of the events that wait."""
        batch, self._batch = self._batch, []
        self._batch_bytes = 0
        return self.work_on(batch) if batch else ()


def windowed(output: Any, timestamp: Timestamp, window: BoundedWindow) -> Any:
    """An output, which may be a TaggedOutput, with this timestamp, in this window."""
    if isinstance(output, beam.pvalue.TaggedOutput):
        output.value = WindowedValue(output.value, timestamp, (window,))
        return output
    return WindowedValue(output, timestamp, (window,))
