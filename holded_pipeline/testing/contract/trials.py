"""An enricher at work: opened, called within its time, judged as a pipeline would judge it, and closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.canonical_json import canonical
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.testing.contract.findings import Findings
from holded_pipeline.testing.contract.leaks import LeakWatch
from holded_pipeline.transforms.workers.bounded_calls import BoundedCalls
from holded_pipeline.user_code.errors import EnricherFault, checked_batch, describe_error
from holded_pipeline.user_code.read_only import CHANGED

EnricherVerdict = bytes | str | None
"""Of one call: the result in canonical form, the reason of a rejection, or None where a rule was broken."""

_OUTAGE = "let what it asks be there when it is checked, and declare its errors with Enricher(transient=...)"
_RULE_OF_REASON = {"enricher_timeout": "in_time", "enricher_output": "json", "enricher_error": "survives"}


class Trial:
    """One life of an enricher on a worker.

    Args:
        enricher: with `on_error="reject"`.
        events: what it is called with.
        budget_seconds: for each event.
        findings: where broken rules are noted.
    """

    def __init__(self, enricher: Enricher, events: Sequence[Event], budget_seconds: float, findings: Findings) -> None:
        self._enricher = enricher
        self._events = events
        self._budget = budget_seconds
        self._findings = findings

    def run(self, *, watch: bool) -> list[EnricherVerdict]:
        """Opens it, calls it with everything, and closes it; the verdict on each event.

        Args:
            watch: whether to look for what it leaves behind.
        """
        before = LeakWatch(f"enricher {self._enricher}") if watch else None
        verdicts: list[EnricherVerdict] = []
        closing = False
        try:
            with self._enricher.opened() as opened:
                verdicts = self._called(self._enricher.callee(opened))
                closing = True
        except KeyboardInterrupt:  # the user's own wish
            raise
        except BaseException as error:  # noqa: BLE001  a stranger's code may raise anything; it is told to who wrote it
            rule, method = ("closes", "__exit__") if closing else ("opens", "__enter__")
            self._findings.add(rule, f"{method} raised {describe_error(error)}")
        if before is not None:
            for leak in before.leaks():
                self._findings.add("closes", f"{leak} was left behind")
        return verdicts

    def _called(self, callee: Callable[[Any], Any]) -> list[EnricherVerdict]:
        single = BoundedCalls(str(self._enricher), self._budget)
        try:
            verdicts = []
            for event in self._events:
                verdicts.append(self._once(single, callee, event))
                if "in_time" in self._findings:
                    return verdicts  # every further event could hang as long
                self.compare(verdicts[-1:], [self._once(single, callee, event)], [event], "called again")
        finally:
            single.close()
        if self._enricher.takes_batches:
            self._batches(callee, verdicts)
        return verdicts

    def _once(self, bounded: BoundedCalls, callee: Callable[[Any], Any], event: Event) -> EnricherVerdict:
        view = Draft(event).view
        outcome = bounded.result_or_error(callee, [view] if self._enricher.takes_batches else view)
        if view != Draft(event).view:
            self._findings.add("read_only", f"after it, {_named(event)} was another")
        return judged(self._enricher, event, outcome, self._findings)

    def compare(
        self, first: Sequence[EnricherVerdict], second: Sequence[EnricherVerdict], events: Sequence[Event], when: str
    ) -> None:
        """Notes results that differ, unless the enricher declares that they may."""
        if not self._enricher.deterministic:
            return
        for one, other, event in zip(first, second, events, strict=False):
            if one is not None and other is not None and one != other:
                self._findings.add(
                    "same_again", f"for {_named(event)} it gave {_shown(one)} and, {when}, {_shown(other)}"
                )

    def _batches(self, callee: Callable[[Any], Any], singles: Sequence[EnricherVerdict]) -> None:
        bounded = BoundedCalls(str(self._enricher), self._budget * max(1, len(self._events)))
        try:
            for events, verdicts in (
                ([], []),
                (list(self._events), list(singles)),
                (list(reversed(self._events)), list(reversed(singles))),
            ):
                outcome = bounded.result_or_error(callee, [Draft(event).view for event in events])
                self._batch(events, verdicts, checked_batch(outcome, len(events)))
        finally:
            bounded.close()

    def _batch(self, events: Sequence[Event], singles: Sequence[EnricherVerdict], outcomes: Any) -> None:
        if isinstance(outcomes, BaseException):
            said = outcomes.text if isinstance(outcomes, EnricherFault) else f"raised {describe_error(outcomes)}"
            self._findings.add("batch", f"with {len(events)} events it {said}")
            return
        for event, single, outcome in zip(events, singles, outcomes, strict=True):
            verdict = _settled(self._enricher, event, outcome, self._findings)
            if self._enricher.deterministic and None not in (verdict, single) and verdict != single:
                seen = f"for {_named(event)} it gave {_shown(verdict)} among others and {_shown(single)} alone"
                self._findings.add("batch", seen)


def judged(enricher: Enricher, event: Event, outcome: Any, findings: Findings) -> EnricherVerdict:
    """What a pipeline makes of the outcome of a call; of a batch of one for a batch enricher.

    Args:
        enricher: with `on_error="reject"`.
        event: what it was called with.
        outcome: what it returned, or the exception that it raised.
        findings: where broken rules are noted.
    """
    if enricher.takes_batches:
        outcome = checked_batch(outcome, 1)
        if isinstance(outcome, EnricherFault) and outcome.reason == "enricher_output":
            findings.add("batch", f"with one event it {outcome.text}")
            return None
        outcome = outcome[0] if isinstance(outcome, list) else outcome
    return _settled(enricher, event, outcome, findings)


def _settled(enricher: Enricher, event: Event, outcome: Any, findings: Findings) -> EnricherVerdict:
    draft = Draft(event)
    try:
        enricher.apply_outcome(draft, outcome)
    except RejectRecord as refusal:
        if isinstance(outcome, RejectRecord) and refusal.reason == getattr(outcome, "reason", None):
            return refusal.reason
        rule = "read_only" if CHANGED in refusal.message else _RULE_OF_REASON[refusal.reason]
        findings.add(rule, f"for {_named(event)}: {refusal.message}")
        return None
    except HoldedPipelineError as failure:
        findings.add("survives", f"for {_named(event)} a run would fail: {failure}", _OUTAGE)
        return None
    return canonical(draft.event().metadata[enricher.name])


def _named(event: Event) -> str:
    return f"the event {event.id!r}"


def _shown(verdict: EnricherVerdict) -> str:
    most = 120
    text = verdict.decode() if isinstance(verdict, bytes) else f"a rejection ({verdict})"
    return text if len(text) <= most else f"{text[:most]}…"
