"""Events a batch at a time, within a bundle.

Beam passes a DoFn one element at a time, so the code of all fused steps runs once for each element, and has left the
processor's caches when its turn comes again. A step that works on some events in one loop takes half the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.model.carried_text import carried_bytes
from holded_pipeline.model.values import Event

GLOBAL_WINDOW: Final = GlobalWindow()
_MOST_EVENTS = 250
_MOST_BYTES = 1 << 20  # of their records and of what enrichers added

Waiting = tuple[Any, Any]
"""An event, and its place: what the DoFn needs of its timestamp and window to place outputs."""


class BatchDoFn(beam.DoFn):
    """A DoFn that works on a batch of events at a time.

    Subclasses implement `work_on`, or `outputs_of` if each event has one output at its own place; and `process`, which
    calls `add` with what it asks Beam for. A subclass that overrides `start_bundle` or `finish_bundle` calls these
    first. Not for a step that passes on what slow code of a user's makes of each event: what follows must not wait for
    the calls of a whole batch.

    Attributes:
        most_seconds: how long an event waits while others arrive.
    """

    most_seconds = 1.0

    def work_on(self, batch: Sequence[Waiting]) -> Iterable[Any]:
        """The outputs for a batch, each a WindowedValue, or a TaggedOutput of one."""
        places = [place for _, place in batch]
        outputs = self.outputs_of([event for event, _ in batch])
        return [placed(output, place) for output, place in zip(outputs, places, strict=True)]

    def outputs_of(self, events: Sequence[Event]) -> Sequence[Any]:
        """The output for each event, without its place: what `work_on` asks for."""
        raise NotImplementedError

    def start_bundle(self) -> None:
        self._batch: list[Waiting] = []
        self._batch_bytes = 0
        self._batch_since = 0.0

    def finish_bundle(self) -> Iterable[Any]:
        return self.end_batch()

    def add(self, element: Any, place: Any) -> list[Any]:
        """The same as `add_all` for one element."""
        return self.add_all((element,), place)

    def add_all(self, elements: Iterable[Any], place: Any) -> list[Any]:
        """Adds events that have the same place; the outputs of the batches that are full by then.

        An element that is no event does not wait, since its size is not known.
        """
        outputs: list[Any] = []
        batch, size = self._batch, self._batch_bytes
        now = time.monotonic()
        if not batch:
            self._batch_since = now
        ends = now - self._batch_since >= self.most_seconds  # with the next event
        for element in elements:
            if not isinstance(element, Event):
                outputs += self._work_on_one(element, place)
                continue
            batch.append((element, place))
            carried = carried_bytes(element)
            size += _MOST_BYTES if carried is None else carried  # what is not known to be small does not wait
            if ends or size >= _MOST_BYTES or len(batch) >= _MOST_EVENTS:
                outputs += self.end_batch()
                batch, size = self._batch, 0
                self._batch_since = time.monotonic()
                ends = self.most_seconds <= 0
        self._batch_bytes = size
        return outputs

    def _work_on_one(self, element: Any, place: Any) -> Iterable[Any]:
        since, self._batch_since = self._batch_since, time.monotonic()
        outputs = self.work_on([(element, place)])
        self._batch_since = since
        return outputs

    def end_batch(self) -> Iterable[Any]:
        """The outputs of the events that wait."""
        batch, self._batch = self._batch, []
        self._batch_bytes = 0
        return self.work_on(batch) if batch else ()


def placed(output: Any, place: WindowedValue) -> Any:
    """An output, which may be a TaggedOutput, with the timestamp and the windows of its element."""
    # `with_value` shares them. To make a WindowedValue of a timestamp costs more than the work of a step.
    if isinstance(output, beam.pvalue.TaggedOutput):
        output.value = place.with_value(output.value)
        return output
    return place.with_value(output)
