"""Batches of events that go from one step to the next in one call: Beam's batches, with a time for each event.

Beam calls each step of a fused stage once for each element, which costs as much as a step's own work. A DoFn with
`process_batch` takes several at once. Beam's own batches have one timestamp for all their elements; events have one
each. So a batch is a list that knows them, and whatever takes elements gets each with its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import apache_beam as beam
from apache_beam.options.pipeline_options import TypeOptions
from apache_beam.runners.worker.statesampler import get_current_tracker
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints.batch import BATCH_CONVERTER_REGISTRY, BatchConverter
from apache_beam.utils import windowed_value
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import HomogeneousWindowedBatch, WindowedValue

from holded_pipeline.model.values import Event
from holded_pipeline.transforms.beam.recorded_runs import own_runner

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_GLOBAL_WINDOWS: Final = (GlobalWindow(),)
_OVERHEAD = 500  # bytes of a value without its record


def at_its_time(event: Event) -> WindowedValue:
    """The event with its time as its timestamp, in the global window."""
    # `TimestampedValue` costs more than reading the event.
    return windowed_value.create(event, (event.occurred_at - _EPOCH) // _MICROSECOND, _GLOBAL_WINDOWS)


class EventBatch(list[Any]):
    """Events, or what a step makes of each, in their order.

    Attributes:
        places: the timestamp and the windows of each; None for events that are each at their own time, in the global
            window.
    """

    __slots__ = ("places",)

    def __init__(self, values: Iterable[Any], places: Sequence[WindowedValue] | None = None) -> None:
        super().__init__(values)
        self.places = places

    def windowed(self) -> Iterator[WindowedValue]:
        """Each with its timestamp and windows."""
        if self.places is None:
            return map(at_its_time, self)
        return (place.with_value(value) for value, place in zip(self, self.places, strict=True))


class _PlacedBatch(HomogeneousWindowedBatch):
    """What Beam passes on: an `EventBatch`."""

    def as_windowed_values(self, explode_fn: Callable[[Any], Iterable[Any]]) -> Iterable[WindowedValue]:  # noqa: ARG002
        """Each value for a step that takes elements."""
        batch: EventBatch = self.values
        return batch.windowed()

    def with_values(self, new_values: Any) -> Any:
        """For a step with a batch type of its own, whose batches have one timestamp."""
        first, *others = {(place.timestamp_micros, tuple(place.windows)) for place in self.values.windowed()}
        if others:
            raise TypeError(
                "a DoFn that follows has only `process_batch`, whose batches have one timestamp, and each event has "
                "its own: give it a `process` method, too, and it gets the events one by one"
            )
        return HomogeneousWindowedBatch(windowed_value.create(new_values, *first))


_NOWHERE: Final = WindowedValue(None, MIN_TIMESTAMP, _GLOBAL_WINDOWS)


def as_beam_batch(values: Sequence[Any], places: Sequence[WindowedValue] | None) -> HomogeneousWindowedBatch:
    """A batch for Beam to pass on; see `EventBatch`."""
    return _PlacedBatch(_NOWHERE.with_value(EventBatch(values, places)))


def batch_outputs(outputs: Sequence[Any], batch: Sequence[Any]) -> Iterator[Any]:
    """What a `process_batch` returns.

    Args:
        outputs: for each event of the batch, an event, or a TaggedOutput of something else.
        batch: what it was given: an `EventBatch`, or a list that Beam has made, to which Beam adds its timestamp.

    Returns:
        The batch of the events that passed, and a batch for each of the others, with its tag; all at the places that
        the events of the batch have.
    """
    tagged = [number for number, output in enumerate(outputs) if type(output) is beam.pvalue.TaggedOutput]
    left = set(tagged)
    passed = [number for number in range(len(outputs)) if number not in left] if tagged else range(len(outputs))
    values = [outputs[number] for number in passed] if tagged else outputs
    if not isinstance(batch, EventBatch):
        if values:
            yield list(values)
        for number in tagged:
            yield beam.pvalue.TaggedOutput(outputs[number].tag, [outputs[number].value])
        return
    places = batch.places
    if values:
        yield as_beam_batch(values, None if places is None else [places[number] for number in passed])
    for number in tagged:  # what is no event has no time of its own
        place = at_its_time(batch[number]) if places is None else places[number]
        yield beam.pvalue.TaggedOutput(outputs[number].tag, as_beam_batch([outputs[number].value], [place]))


class EventBatchDoFn(beam.DoFn):
    """A DoFn whose batches are those of this module.

    Subclasses implement `process_batch(batch)`, and may yield batches from `process` (see `beam.DoFn.yields_batches`).
    They yield no element from `finish_bundle` to a step that takes batches: Beam 2.77 would lose it.

    Attributes:
        own_scope: to be entered in `process_batch`, so that counters count for this step. Beam does so for `process`,
            but for a batch it stays in the scope of the step that made it.
    """

    own_scope: AbstractContextManager[Any] = nullcontext()

    def start_bundle(self) -> None:
        """Finds the scope of this step, which Beam is in now."""
        super().start_bundle()
        self.own_scope = _scope_of_step()

    def get_input_batch_type(self, input_element_type: Any) -> type[EventBatch]:  # noqa: ARG002
        """The batches that `process_batch` takes."""
        return EventBatch

    def get_output_batch_type(self, input_element_type: Any) -> type[EventBatch]:  # noqa: ARG002
        """The batches that it yields."""
        return EventBatch

    def infer_output_type(self, input_element_type: Any) -> Any:  # noqa: ARG002
        """Not known by Beam; the transforms say it."""
        return Any


class InEventBatches(EventBatchDoFn):
    """Lets a `BatchDoFn` with `outputs_of` take and yield batches. To be put before it among the base classes."""

    @beam.DoFn.yields_batches
    def process(self, event: Event, place: WindowedValue = beam.DoFn.WindowedValueParam) -> Iterator[Any]:
        """An event that comes alone, since the runner runs this step apart from the one before. It does not wait."""
        return batch_outputs(self.outputs_of([event]), EventBatch([event], [place]))

    def process_batch(self, batch: Sequence[Event]) -> Iterator[Any]:
        """Events that come in batches."""
        with self.own_scope:
            outputs = self.outputs_of(batch)
        return batch_outputs(outputs, batch)


class OutOfEventBatches(EventBatchDoFn):
    """Lets a `BatchDoFn` take batches, and yield elements. To be put before it among the base classes.

    Its events are gathered in batches of its own: how they were divided before may depend on the clock, and a bundle
    that is retried has to give the same outputs.

    Attributes:
        place: of all events, as `BatchDoFn.add_all` takes it.
    """

    place: Any

    @beam.DoFn.yields_elements
    def process_batch(self, batch: Sequence[Event]) -> list[Any]:
        """Events that come in batches."""
        with self.own_scope:
            outputs: list[Any] = self.add_all(batch, self.place)
        return outputs


class _EventBatchConverter(BatchConverter):
    """Tells Beam what it has to know of batches."""

    def __init__(self) -> None:
        super().__init__(EventBatch, Any)  # of whatever elements: all steps share one, so that Beam passes batches on

    def produce_batch(self, elements: Iterable[Any]) -> list[Any]:
        """A batch of elements with one timestamp."""
        return list(elements)

    def explode_batch(self, batch: Sequence[Any]) -> Iterator[Any]:
        """Its elements."""
        return iter(batch)

    def combine_batches(self, batches: Iterable[Sequence[Any]]) -> list[Any]:
        """All elements."""
        return [each for batch in batches for each in batch]

    def get_length(self, batch: Sequence[Any]) -> int:
        """How many elements."""
        return len(batch)

    def estimate_byte_size(self, batch: Sequence[Any]) -> int:
        """About their bytes, for Beam's metrics, by the first of them."""
        return len(batch) * (_OVERHEAD + 2 * len(getattr(batch[0], "raw", b"")))


def _converter_of(element_type: Any, batch_type: Any) -> _EventBatchConverter:  # noqa: ARG001
    if batch_type is not EventBatch:
        raise TypeError("its batches are those of holded_pipeline's steps")
    return _EventBatchConverter()


BATCH_CONVERTER_REGISTRY["holded_pipeline"] = _converter_of  # `register` fails where the module is imported again


def _scope_of_step() -> AbstractContextManager[Any]:
    """Beam's scope for the processing of the step whose scope is entered now; none where no worker of Beam runs."""
    tracker = get_current_tracker()
    state = None if tracker is None else tracker.current_state()
    if tracker is None or state is None or state.name_context is None:
        return nullcontext()
    scope: AbstractContextManager[Any] = tracker.scoped_state(
        state.name_context, "process", metrics_container=state.metrics_container
    )
    return scope


def passes_batches(pipeline: beam.Pipeline) -> bool:
    """Whether the runner of a pipeline passes batches on; other runners than Beam's own worker do not."""
    types = pipeline.options.view_as(TypeOptions)
    checks_elements = types.runtime_type_check or types.performance_runtime_type_check
    return type(own_runner(pipeline)).__name__ == "FnApiRunner" and not checks_elements


def comes_in_batches(events: beam.PCollection) -> bool:
    """Whether the step that makes these events passes them on in batches."""
    function = getattr(getattr(events.producer, "transform", None), "fn", None)
    return isinstance(function, EventBatchDoFn) and function._can_yield_batches  # noqa: SLF001  no public way
