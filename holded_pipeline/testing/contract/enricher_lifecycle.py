"""Runs an enricher as a worker does: opens it, calls it within a time limit, validates its results, and closes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.canonical_json import encode_canonical
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.testing.contract.broken_rules import BrokenRules
from holded_pipeline.testing.contract.leaks import LeakWatch
from holded_pipeline.testing.contract.user_functions import shorten
from holded_pipeline.transforms.workers.bounded_calls import BoundedCalls
from holded_pipeline.user_code.errors import EnricherFault, check_batch_result, describe_error
from holded_pipeline.user_code.read_only import CHANGE_REJECTED

CallResult = bytes | str | None
"""Of one call: the result as canonical JSON, the reason of a rejection, or None if the call broke a rule."""

_OUTAGE_ADVICE = (
    "start the servers that it asks before the check, and declare their errors with Enricher(transient=...)"
)
_RULE_OF_REASON = {"enricher_timeout": "in_time", "enricher_output": "json", "enricher_error": "survives"}
_SHOWN_CHARACTERS = 120


class EnricherLifecycle:
    """One life of an enricher on a worker.

    Args:
        enricher: with `on_error="reject"`.
        events: what it is called with.
        budget_seconds: for each event.
        broken_rules: where broken rules are collected.
    """

    def __init__(
        self, enricher: Enricher, events: Sequence[Event], budget_seconds: float, broken_rules: BrokenRules
    ) -> None:
        self._enricher = enricher
        self._events = events
        self._budget = budget_seconds
        self._broken_rules = broken_rules

    def run(self, *, find_leaks: bool) -> list[CallResult]:
        """Opens the enricher, calls it with every event, and closes it; the result for each event.

        Args:
            find_leaks: whether to look for threads and files that it leaves open.
        """
        watch = LeakWatch(f"enricher {self._enricher}") if find_leaks else None
        results: list[CallResult] = []
        closing = False
        try:
            with self._enricher.opened() as opened:
                results = self._call_with_all(self._enricher.callee(opened))
                closing = True
        except KeyboardInterrupt:  # the user's own wish
            raise
        except BaseException as error:  # noqa: BLE001  user code may raise anything; its author reads it in the report
            rule, method = ("closes", "__exit__") if closing else ("opens", "__enter__")
            self._broken_rules.add(rule, f"{method} raised {describe_error(error)}")
        if watch is not None:
            for leak in watch.leaks():
                self._broken_rules.add("closes", f"{leak} was left behind")
        return results

    def _call_with_all(self, callee: Callable[[Any], Any]) -> list[CallResult]:
        bounded = BoundedCalls(str(self._enricher), self._budget)
        try:
            results = []
            for event in self._events:
                results.append(self._call_with_one(bounded, callee, event))
                if "in_time" in self._broken_rules:
                    return results  # every further event could hang as long
                self.compare(results[-1:], [self._call_with_one(bounded, callee, event)], [event], "called again")
        finally:
            bounded.close()
        if self._enricher.takes_batches:
            self._call_with_batches(callee, results)
        return results

    def _call_with_one(self, bounded: BoundedCalls, callee: Callable[[Any], Any], event: Event) -> CallResult:
        view = Draft(event).view
        outcome = bounded.result_or_error(callee, [view] if self._enricher.takes_batches else view)
        if view != Draft(event).view:
            self._broken_rules.add("read_only", f"after it, {_label(event)} was another")
        return call_result(self._enricher, event, outcome, self._broken_rules)

    def compare(
        self, first: Sequence[CallResult], second: Sequence[CallResult], events: Sequence[Event], when: str
    ) -> None:
        """Reports results that differ, unless the enricher declares that they may."""
        if not self._enricher.deterministic:
            return
        for one, other, event in zip(first, second, events, strict=False):
            if one is not None and other is not None and one != other:
                seen = f"for {_label(event)} it gave {_result_text(one)} and, {when}, {_result_text(other)}"
                self._broken_rules.add("same_again", seen)

    def _call_with_batches(self, callee: Callable[[Any], Any], singles: Sequence[CallResult]) -> None:
        bounded = BoundedCalls(str(self._enricher), self._budget * max(1, len(self._events)))
        try:
            for events, results in (
                ([], []),
                (list(self._events), list(singles)),
                (list(reversed(self._events)), list(reversed(singles))),
            ):
                outcome = bounded.result_or_error(callee, [Draft(event).view for event in events])
                self._compare_batch(events, results, check_batch_result(outcome, len(events)))
        finally:
            bounded.close()

    def _compare_batch(self, events: Sequence[Event], singles: Sequence[CallResult], outcomes: Any) -> None:
        if isinstance(outcomes, BaseException):
            fault = outcomes.text if isinstance(outcomes, EnricherFault) else f"raised {describe_error(outcomes)}"
            self._broken_rules.add("batch", f"with {len(events)} events it {fault}")
            return
        for event, single, outcome in zip(events, singles, outcomes, strict=True):
            result = _result_for_event(self._enricher, event, outcome, self._broken_rules)
            if self._enricher.deterministic and None not in (result, single) and result != single:
                seen = (
                    f"for {_label(event)} it gave {_result_text(result)} among others and {_result_text(single)} alone"
                )
                self._broken_rules.add("batch", seen)


def call_result(enricher: Enricher, event: Event, outcome: Any, broken_rules: BrokenRules) -> CallResult:
    """What a pipeline makes of the outcome of one call; a batch enricher was called with a batch of one.

    Args:
        enricher: with `on_error="reject"`.
        event: what it was called with.
        outcome: what it returned, or the exception that it raised.
        broken_rules: where broken rules are collected.
    """
    if enricher.takes_batches:
        outcome = check_batch_result(outcome, 1)
        if isinstance(outcome, EnricherFault) and outcome.reason == "enricher_output":
            broken_rules.add("batch", f"with one event it {outcome.text}")
            return None
        outcome = outcome[0] if isinstance(outcome, list) else outcome
    return _result_for_event(enricher, event, outcome, broken_rules)


def _result_for_event(enricher: Enricher, event: Event, outcome: Any, broken_rules: BrokenRules) -> CallResult:
    draft = Draft(event)
    try:
        enricher.apply_outcome(draft, outcome)
    except RejectRecord as rejection:
        if isinstance(outcome, RejectRecord) and rejection.reason == getattr(outcome, "reason", None):
            return rejection.reason
        rule = "read_only" if CHANGE_REJECTED in rejection.message else _RULE_OF_REASON[rejection.reason]
        broken_rules.add(rule, f"for {_label(event)}: {rejection.message}")
        return None
    except HoldedPipelineError as failure:
        broken_rules.add("survives", f"for {_label(event)} a run would fail: {failure}", _OUTAGE_ADVICE)
        return None
    return encode_canonical(draft.event().metadata[enricher.name])


def _label(event: Event) -> str:
    return f"the event {event.id!r}"


def _result_text(result: CallResult) -> str:
    text = result.decode() if isinstance(result, bytes) else f"a rejection ({result})"
    return shorten(text, _SHOWN_CHARACTERS)
