"""A quality rule at work: sent to a worker, asked within its time, twice, and judged as a pipeline would judge it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.quality import NOT_APPLICABLE, QualityRule, assess
from holded_pipeline.model.values import Event
from holded_pipeline.testing.contract.findings import Findings
from holded_pipeline.transforms.beam.pickling import LET_IT_OPEN, pickle_roundtrip
from holded_pipeline.transforms.workers.bounded_calls import BoundedCalls
from holded_pipeline.user_code.errors import EnricherFault, describe_error

_RULE_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_QUICKER = "do less for each event, and ask no server: a rule is asked alone, for one event after the other"


def try_rule(rule: QualityRule, events: Sequence[Event], findings: Findings, budget_seconds: float) -> None:
    """Asks a rule about events as a worker would, and notes what it breaks.

    Args:
        rule: the rule.
        events: what it is asked about.
        findings: where broken rules of the contract are noted.
        budget_seconds: for each event.
    """
    whose = f"the quality rule {rule.id}"
    if not _RULE_ID.fullmatch(rule.id):
        findings.add("rule_id", f"a quality rule has the id {rule.id!r}", culprit=whose)
    if not is_described(rule.check):
        findings.add("described", f"{whose} has a check without docstring", culprit=whose)
    copy = travelled(rule, whose, findings)
    bounded = BoundedCalls(whose, budget_seconds)
    try:
        for event in events:
            first, second = twice(bounded, functools.partial(_judged, copy), event)
            if isinstance(second, EnricherFault):
                late = f"for the event {event.id!r}, {whose} did not answer within {budget_seconds:g} s"
                findings.add("in_time", late, _QUICKER, culprit=whose)
                return  # every further event could hang as long
            if isinstance(first, BaseException):
                findings.add("verdict", f"for the event {event.id!r}, {whose}: {first}", culprit=whose)
            elif first != second:
                differing = f"for the event {event.id!r}, {rule.id} said {first!r} and {second!r}"
                findings.add("verdict_same_again", differing, culprit=whose)
    finally:
        bounded.close()


def twice(bounded: BoundedCalls, call: Callable[[Any], Any], argument: Any) -> tuple[Any, Any]:
    """The outcomes of two calls; of one that did not answer in time the second stands for both."""
    first = bounded.result_or_error(call, argument)
    return first, first if isinstance(first, EnricherFault) else bounded.result_or_error(call, argument)


def travelled(thing: Any, whose: str, findings: Findings) -> Any:
    """The copy of a rule or an envelope that a worker gets; itself, where it gets none, which is noted."""
    copy = pickle_roundtrip(thing)
    if not isinstance(copy, BaseException):
        return copy
    findings.add(
        "picklable", f"{whose} cannot be pickled for a worker: {describe_error(copy)}", LET_IT_OPEN, culprit=whose
    )
    return thing


class _NoVerdictError(Exception):
    """A rule has none, by its own fault."""


def _judged(rule: QualityRule, event: Event) -> Any:
    """The verdict as the pipeline takes it."""
    try:
        found = assess(Draft(event).view, [rule], "check")
    except Exception as error:  # noqa: BLE001  what fails a run here is told to who wrote the rule
        return _NoVerdictError(f"a run would fail: {describe_error(error)}")
    if found.get("errors"):
        return _NoVerdictError(found["errors"][0]["error"])
    if found["failed"]:
        return found["failed"][0]["why"]
    return None if found["dimensions"] else NOT_APPLICABLE


def is_described(thing: Any) -> bool:
    """Whether there is a docstring."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    if inspect.isroutine(thing):
        return bool(inspect.getdoc(thing))
    kind: type = type(thing)
    return any(each.__doc__ for each in kind.__mro__ if each is not object)
