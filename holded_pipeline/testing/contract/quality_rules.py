"""Checks a quality rule as a worker runs it: unpickled, called twice within a time limit, its answer validated."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.quality import NOT_APPLICABLE, QualityRule, assess
from holded_pipeline.model.values import Event
from holded_pipeline.testing.contract.broken_rules import BrokenRules
from holded_pipeline.testing.contract.user_functions import call_twice, copy_for_worker, has_docstring
from holded_pipeline.transforms.workers.bounded_calls import BoundedCalls
from holded_pipeline.user_code.errors import EnricherFault, describe_error

_RULE_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_SLOW_RULE_ADVICE = "do less for each event, and ask no server: a rule is asked alone, for one event after the other"


def check_quality_rule(
    rule: QualityRule, events: Sequence[Event], broken_rules: BrokenRules, budget_seconds: float
) -> None:
    """Calls a quality rule as a worker would, and collects the rules of the contract that it breaks.

    Args:
        rule: the quality rule.
        events: what it is called with.
        broken_rules: where broken rules of the contract are collected.
        budget_seconds: for each event.
    """
    component = f"the quality rule {rule.id}"
    if not _RULE_ID.fullmatch(rule.id):
        broken_rules.add("rule_id", f"a quality rule has the id {rule.id!r}", component=component)
    if not has_docstring(rule.check):
        broken_rules.add("described", f"{component} has a check without docstring", component=component)
    copy = copy_for_worker(rule, component, broken_rules)
    bounded = BoundedCalls(component, budget_seconds)
    try:
        for event in events:
            first, second = call_twice(bounded, functools.partial(_assess_one, copy), event)
            if isinstance(second, EnricherFault):
                late = f"for the event {event.id!r}, {component} did not answer within {budget_seconds:g} s"
                broken_rules.add("in_time", late, _SLOW_RULE_ADVICE, component=component)
                return  # every further event could hang as long
            if isinstance(first, BaseException):
                broken_rules.add("verdict", f"for the event {event.id!r}, {component}: {first}", component=component)
            elif first != second:
                differing = f"for the event {event.id!r}, {rule.id} answered {first!r} and then {second!r}"
                broken_rules.add("verdict_same_again", differing, component=component)
    finally:
        bounded.close()


class _NoVerdictError(Exception):
    """A quality rule gave no usable verdict."""


def _assess_one(rule: QualityRule, event: Event) -> Any:
    """The verdict as the pipeline stores it, or a `_NoVerdictError`."""
    try:
        result = assess(Draft(event).view, [rule], "check")
    except Exception as error:  # noqa: BLE001  what would fail a run is reported to the author of the rule
        return _NoVerdictError(f"a run would fail: {describe_error(error)}")
    if result.get("errors"):
        return _NoVerdictError(result["errors"][0]["error"])
    if result["failed"]:
        return result["failed"][0]["why"]
    return None if result["dimensions"] else NOT_APPLICABLE
