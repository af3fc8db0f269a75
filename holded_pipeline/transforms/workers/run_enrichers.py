"""The DoFns of Enrich: for enrichers that take one event, and for those that take several at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import apache_beam as beam
import attrs
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.enriching.builtin_steps import BuiltinChain, builtin_step
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.carried_text import is_proved_json, metadata_value
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.transforms.beam.batches import GLOBAL_WINDOW, BatchDoFn, Waiting, WindowedBatches, windowed
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls

STAGE = "enrich"
_BATCH_BYTES = 8_000_000  # of the raw records of a batch's events, so that large events do not fill the memory


class ResultCheck(Protocol):
    """Looks at the results of one enricher."""

    def measure(self, event_type: str, result: Any) -> None:
        """Updates metrics by the result; also called for events that are rejected by it afterwards."""
        ...

    def reject_if(self, result: Any) -> None:
        """Raises RejectRecord to reject the event."""
        ...

    @property
    def may_reject(self) -> bool:
        """Whether it rejects events at all."""
        ...

    def flush(self) -> None:
        """Passes on what was counted, at the end of a bundle."""
        ...


@attrs.frozen
class EnrichSettings:
    """What all DoFns of one Enrich share.

    Attributes:
        run_id: the run.
        step: the label of the transform.
        result_checks: by an enricher's name, what looks at its results beside its own `reject_if`.
        is_last: whether this DoFn counts the events that passed.
    """

    run_id: str
    step: str
    result_checks: Mapping[str, ResultCheck]
    is_last: bool

    def check_result(self, enricher: Enricher, draft: Draft) -> None:
        """Looks at the result that an enricher added to an event.

        Raises:
            RejectRecord, EnricherError, TransientError, ConfigurationError: see `Enricher.__call__`.
        """
        check = self.result_checks.get(enricher.name)
        if check is not None:
            check.measure(draft.before.type, draft.result(enricher.name))
        enricher.check_result(draft)
        if check is not None:
            check.reject_if(draft.result(enricher.name))


class _Step:
    """One enricher in its turn: a built-in one is called directly, user code is contained."""

    def __init__(self, calls: EnricherCalls, settings: EnrichSettings) -> None:
        enricher = calls.enricher
        self._calls = calls
        self._settings = settings
        self._add_builtin = builtin_step(enricher)
        self._check = settings.result_checks.get(enricher.name)
        self._may_reject = getattr(enricher.function, "reject_if", None) is not None

    def apply(self, draft: Draft, *, is_proved_json: bool) -> None:
        if is_proved_json and self._add_builtin is not None:
            self._add_builtin(draft)
        else:
            self._calls.apply(draft)
        if self._check is not None or self._may_reject:
            self._settings.check_result(self._calls.enricher, draft)


class RunEnrichers(BatchDoFn):
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
            self.teardown()  # closes those that were opened before; Beam would not
            raise
        self._steps = [_Step(calls, self._settings) for calls in self._calls]
        checks = [(name, check) for name, check in self._settings.result_checks.items() if self._runs(name)]
        self._measures = checks
        self._chain = None if any(check.may_reject for _, check in checks) else BuiltinChain.of(self._enrichers)

    def _runs(self, name: str) -> bool:
        return any(enricher.name == name for enricher in self._enrichers)

    def process(self, event: Event, timestamp: Timestamp = beam.DoFn.TimestampParam) -> Iterable[Any]:
        return self.add(event, timestamp, GLOBAL_WINDOW)

    def work_on(self, batch: Sequence[Waiting]) -> list[Any]:
        chain = self._chain
        outputs: list[Any] = []
        passed = 0
        for event, timestamp, window in batch:
            if chain is not None and chain.can_enrich(event):
                output: Any = chain.enrich(event)
                for name, check in self._measures:
                    check.measure(event.type, metadata_value(output, name))
                outputs.append(WindowedValue(output, timestamp, (window,)))
                passed += 1
            else:
                outputs.append(windowed(self._output(event), timestamp, window))
        self._outputs.count_passed(passed)
        return outputs

    def _output(self, event: Event) -> Any:
        try:
            draft = Draft(event)
            is_proved = is_proved_json(event)
            for step in self._steps:
                step.apply(draft, is_proved_json=is_proved)
        except RejectRecord as fault:
            return self._outputs.rejected(fault, event)
        return self._outputs.passed(draft)

    def finish_bundle(self) -> Iterable[Any]:
        yield from super().finish_bundle()
        for calls in self._calls:
            self._outputs.count(calls)
        self._outputs.flush()

    def teardown(self) -> None:
        for calls in getattr(self, "_calls", ()):
            calls.close()


class RunWindowedEnrichers(WindowedBatches, RunEnrichers):
    """The same for events in any window."""


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
        self._outputs = _Outputs(settings)
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


class _Outputs:
    """Makes the outputs of a DoFn, and counts them."""

    def __init__(self, settings: EnrichSettings) -> None:
        self._settings = settings
        self._counters = Counters(STAGE)

    def count(self, calls: EnricherCalls) -> None:
        for name, amount in calls.counts().items():
            self._counters.add(f"{calls.enricher.name}.{name}", amount)

    def flush(self) -> None:
        self._counters.flush()
        for check in self._settings.result_checks.values():
            check.flush()

    def passed(self, draft: Draft) -> Event:
        for name in draft.skipped:
            self._counters.add(f"skipped.{name}")
        self.count_passed(1)
        return draft.event()

    def count_passed(self, number: int) -> None:
        if self._settings.is_last:
            self._counters.add("passed", number)

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
