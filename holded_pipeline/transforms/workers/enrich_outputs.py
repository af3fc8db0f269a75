"""What the DoFns of Enrich share: their settings, their outputs and what looks at results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import apache_beam as beam
import attrs

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls

STAGE = "enrich"


class ResultCheck(Protocol):
    """Looks at the results of one enricher."""

    def measure(self, event_type: str, result: Any) -> None:
        """Updates metrics by the result; also called for events that are rejected by it afterwards."""
        ...

    def reject_if(self, result: Any) -> None:
        """Raises RejectRecord to reject the event."""
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


class EnrichOutputs:
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
