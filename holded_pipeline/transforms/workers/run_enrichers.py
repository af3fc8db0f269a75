"""The DoFn of Enrich for enrichers that take one event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.enriching.builtin_steps import BuiltinChain, builtin_step
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.carried_text import is_proved_json, metadata_value
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.transforms.beam.batches import GLOBAL_WINDOW, BatchDoFn, Waiting, WindowedBatches, windowed
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


class RunEnrichers(BatchDoFn):
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
