"""DropEvents: leaves events out on purpose, and counts them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.object_counts import ObjectCount, SourceTally, object_of
from holded_pipeline.model.values import Event, Outcome
from holded_pipeline.rejected.rejections import raw_of, reject
from holded_pipeline.transforms.beam.accounted import ANY_LEDGER, DROPPED, remember_counts
from holded_pipeline.transforms.beam.batches import GLOBAL_WINDOW
from holded_pipeline.transforms.beam.inputs import require_events
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, Counters, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_function_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.user_code.errors import name_of, pipeline_error_for, result_or_error
from holded_pipeline.user_code.functions import require_function

_STAGE = "drop"
_OBJECTS: Final = "dropped_objects"
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}")


class DropEvents(RejectingTransform[Event]):
    """Leaves out the events for which a function returns true.

    Takes a PCollection of `Event` and gives an `Outcome`: `passed` is a PCollection of the other events, `rejected` one
    of `Rejected` with stage `drop`, for which the function failed. What is dropped is counted by reason
    (`drop.dropped.<reason>`) and by object, so that `SettleObjects` can account for it; `beam.Filter` loses events
    without a word.

    Args:
        predicate: a function `(event) -> bool`.
        reason: a short code in snake_case, for the counts.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     kept = raw.passed | hp.DropEvents(lambda event: event.company_id == "test", reason="test_company")
        ...     written = (raw.rejected, kept.rejected) | hp.WriteRejected(lake, "rejected/")

    Raises:
        ValueError: `reason` is not such a code.
        ConfigurationError: (applying) the function cannot be pickled; (running) it misses a file or a grant.
        TransientError: (running) the function met an outage.

    **Guarantees:** each event is passed on unaltered, dropped and counted, or rejected (`drop_error`). Order,
    timestamps and windows stay. Parallel over bundles.
    """

    def __init__(self, predicate: Callable[[Event], Any], *, reason: str) -> None:
        super().__init__()
        if not _REASON.fullmatch(reason):
            raise ValueError(f"reason must be a short code in snake_case, such as 'test_company', got {reason!r}")
        require_function(predicate, "predicate", "(event) -> bool")
        self._predicate = predicate
        self._reason = reason

    def expand(self, events: beam.PCollection) -> Outcome:
        """One ParDo."""
        require_events(events, "DropEvents")
        check_function_picklable(self._predicate, "function")
        drop_in = _Drop if events.windowing.is_default() else _DropWindowed
        drop = drop_in(self._predicate, self._reason, run_id_of(events.pipeline), step_of(events.pipeline))
        outputs = events | "DropEvents" >> beam.ParDo(drop).with_outputs(REJECTED, _OBJECTS, main=PASSED)
        outputs[_OBJECTS].element_type = ObjectCount
        remember_counts(DROPPED, ANY_LEDGER, outputs[_OBJECTS])
        outcome: Outcome = self._outcome(outputs[PASSED], outputs[REJECTED], Event)
        return outcome


class _Drop(beam.DoFn):
    def __init__(self, predicate: Callable[[Event], Any], reason: str, run_id: str, step: str) -> None:
        self._predicate = predicate
        self._reason = reason
        self._run_id = run_id
        self._step = step
        self._counters = Counters(_STAGE)

    def start_bundle(self) -> None:
        self._dropped = SourceTally()

    def process(self, event: Event) -> Iterator[Any]:
        return self._judge(event, GLOBAL_WINDOW)

    def _judge(self, event: Event, window: BoundedWindow) -> Iterator[Any]:
        answer = result_or_error(self._is_dropped, event)
        if answer is False:
            self._counters.add("passed")
            yield event
        elif answer is True:
            self._counters.add("dropped")
            self._counters.add(f"dropped.{self._reason}")
            self._dropped.add([object_of(event)])
            self._window = window
        else:
            yield self._reject(event, answer)

    def _is_dropped(self, event: Event) -> bool:
        return bool(self._predicate(event))

    def _reject(self, event: Event, error: BaseException) -> beam.pvalue.TaggedOutput:
        name = f"the function {name_of(self._predicate)}"
        failure = pipeline_error_for("drop_error", error, name, "could not judge the event")
        if not isinstance(failure, RejectRecord):
            raise failure from error
        return self._counters.rejected(
            reject(
                failure,
                stage=_STAGE,
                raw=raw_of(event),
                run_id=self._run_id,
                step=self._step,
                rejected_at=datetime.now(UTC),
                event=event,
            )
        )

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for count in self._dropped.counts():
            # In the window of an event that was dropped: the output has the windows of the input.
            yield beam.pvalue.TaggedOutput(
                _OBJECTS, WindowedValue(count, self._window.max_timestamp(), (self._window,))
            )
        self._counters.flush()


class _DropWindowed(_Drop):
    """The same for events in any window; to be passed the window takes time."""

    def process(self, event: Event, window: BoundedWindow = beam.DoFn.WindowParam) -> Iterator[Any]:
        return self._judge(event, window)
