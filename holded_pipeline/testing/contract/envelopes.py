"""Checks an envelope as a worker runs it: unpickled, called with documents of all shapes, its events validated."""

from __future__ import annotations

import functools
from typing import Any, Final

import attrs

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelopes import Envelope
from holded_pipeline.reading.records import find_event_problem
from holded_pipeline.testing.contract.broken_rules import BrokenRules
from holded_pipeline.testing.contract.user_functions import call_twice, copy_for_worker, has_docstring, shorten
from holded_pipeline.testing.samples.events import sample_documents
from holded_pipeline.transforms.workers.bounded_calls import BoundedCalls
from holded_pipeline.user_code.errors import EnricherFault, bounded_rejection, describe_error

_SOURCE = Source("samples", "raw/documents.jsonl", "etag", 1)
_ODD_DOCUMENTS: Final[tuple[Any, ...]] = (
    {},
    [],
    None,
    True,
    7,
    "text",
    {"data": None},
    {"data": {}, "headers": []},
    {"id": {}, "type": [], "timestamp": "soon"},
    [{"id": "a"}],
    {"": 10**400},
)
_SAMPLE_DOCUMENTS = 20
_SHOWN_CHARACTERS = 60
_SLOW_ENVELOPE_ADVICE = "do less for each document, and ask no server: an enricher with enrich_batch may"


def check_envelope(name: str, envelope: Envelope, broken_rules: BrokenRules, budget_seconds: float) -> None:
    """Calls an envelope as a worker would, and collects the rules of the contract that it breaks.

    Args:
        name: what it is registered as.
        envelope: the envelope.
        broken_rules: where broken rules of the contract are collected.
        budget_seconds: for each document.
    """
    component = f"the envelope {name}"
    if not has_docstring(envelope):
        broken_rules.add("described", f"{component} has no docstring", component=component)
    copy = copy_for_worker(envelope, component, broken_rules)
    bounded = BoundedCalls(component, budget_seconds)
    try:
        for document in (*sample_documents(_SAMPLE_DOCUMENTS, seed=4, wrapped=0.5), *_ODD_DOCUMENTS):
            record = json_codec.encode(document)
            where = f"for {shorten(record.decode(), _SHOWN_CHARACTERS)}, {component}"
            first, second = call_twice(bounded, functools.partial(_call_envelope, copy), record)
            if isinstance(second, EnricherFault):
                late = f"{where} did not answer within {budget_seconds:g} s"
                broken_rules.add("in_time", late, _SLOW_ENVELOPE_ADVICE, component=component)
                return  # every further document could hang as long
            problem = _problem_with(first, component)
            if problem:
                broken_rules.add("envelope", f"{where} {problem}", component=component)
                continue
            difference = _difference(first, second)
            if difference:
                seen = f"{where}, called again, gave another {difference}"
                broken_rules.add("envelope_same_again", seen, component=component)
    finally:
        bounded.close()


def _call_envelope(envelope: Envelope, record: bytes) -> Any:
    return envelope(json_codec.decode(record), _SOURCE)  # decoded for each call, as in a pipeline


def _problem_with(outcome: Any, component: str) -> str | None:
    if isinstance(outcome, RejectRecord):
        rejection = bounded_rejection(outcome, component)
        return rejection.text if isinstance(rejection, EnricherFault) else None
    if isinstance(outcome, BaseException):
        return f"raised {describe_error(outcome)}"
    if not isinstance(outcome, Event):
        return f"returned {type(outcome).__name__}"
    wrong = find_event_problem(outcome)
    return None if wrong is None else f"returned an Event whose {wrong}"


def _difference(first: Any, second: Any) -> str:
    """The fields in which two events of one record differ, or two unlike outcomes; empty if there is no difference."""
    if isinstance(first, Event) and isinstance(second, Event):
        names = [field.name for field in attrs.fields(Event)]
        return ", ".join(name for name in names if getattr(first, name) != getattr(second, name))
    reasons = [getattr(outcome, "reason", type(outcome).__name__) for outcome in (first, second)]
    return "" if reasons[0] == reasons[1] else f"outcome ({reasons[0]}, then {reasons[1]})"
