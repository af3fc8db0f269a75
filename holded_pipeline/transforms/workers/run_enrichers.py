"""The DoFn of Enrich for enrichers that take one event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.enriching.builtin_steps import BuiltinChain, builtin_step
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.carried_text import is_proved_json, metadata_value
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.transforms.beam.batches import BatchDoFn
from holded_pipeline.transforms.beam.event_batches import InEventBatches
from holded_pipeline.transforms.workers.enrich_outputs import EnrichOutputs, EnrichSettings
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls


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


class RunEnrichers(beam.DoFn):
    """Runs enrichers on each event, one after the other."""

    def __init__(self, enrichers: Sequence[Enricher], settings: EnrichSettings) -> None:
        self._enrichers = enrichers
        self._settings = settings
        self._outputs = EnrichOutputs(settings)

    def setup(self) -> None:
        self._calls: list[EnricherCalls] = []
        try:
            for enricher in self._enrichers:
                self._calls.append(EnricherCalls(enricher))
        except HoldedPipelineError:
            self.teardown()  # closes those that were opened before; Beam would not
            raise
        self._steps = [_Step(calls, self._settings) for calls in self._calls]

    def process(self, event: Event) -> Iterable[Any]:
        return (self._output(event),)

    def _output(self, event: Event) -> Any:
        try:
            draft = Draft(event)
            is_proved = is_proved_json(event)
            for step in self._steps:
                step.apply(draft, is_proved_json=is_proved)
        except RejectRecord as fault:
            return self._outputs.rejected(fault, event)
        return self._outputs.passed(draft)

    def finish_bundle(self) -> Any:
        for calls in self._calls:
            self._outputs.count(calls)
        self._outputs.flush()

    def teardown(self) -> None:
        for calls in getattr(self, "_calls", ()):
            calls.close()


class RunBuiltinEnrichers(BatchDoFn, RunEnrichers):
    """The same for built-in enrichers and events in the global window: a batch at a time."""

    def setup(self) -> None:
        super().setup()
        self._chain = BuiltinChain.of(self._enrichers)
        names = {enricher.name for enricher in self._enrichers}
        self._checks = [(name, check) for name, check in self._settings.result_checks.items() if name in names]

    def process(self, event: Event, place: WindowedValue = beam.DoFn.WindowedValueParam) -> Iterable[Any]:
        return self.add(event, place)

    def outputs_of(self, events: Sequence[Event]) -> list[Any]:
        chain = self._chain
        outputs: list[Any] = []
        passed = 0
        for event in events:
            if chain is None or not chain.can_enrich(event):
                outputs.append(self._output(event))
                continue
            output: Any = chain.enrich(event)
            try:
                for name, check in self._checks:
                    result = metadata_value(output, name)
                    check.measure(event.type, result)
                    check.reject_if(result)
            except RejectRecord as fault:
                outputs.append(self._outputs.rejected(fault, event))
            else:
                outputs.append(output)
                passed += 1
        self._outputs.count_passed(passed)
        return outputs

    def finish_bundle(self) -> Iterator[Any]:
        yield from self.end_batch()
        RunEnrichers.finish_bundle(self)


class EnrichEventBatches(InEventBatches, RunBuiltinEnrichers):
    """The same for events that come in batches."""


def can_run_in_batches(enrichers: Sequence[Enricher]) -> bool:
    """Whether enrichers are all built in and reject nothing by themselves."""
    return BuiltinChain.of(enrichers) is not None
