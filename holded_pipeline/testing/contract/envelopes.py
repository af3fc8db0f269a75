"""An envelope at work: sent to a worker, given documents of all shapes, and judged as a pipeline would judge it."""

from __future__ import annotations

import functools
from typing import Any, Final

import attrs

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelopes import Envelope
from holded_pipeline.reading.records import find_event_problem
from holded_pipeline.testing.contract.findings import Findings
from holded_pipeline.testing.contract.quality_rules import is_described, travelled, twice
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
_DOCUMENTS = 20
_QUICKER = "do less for each document, and ask no server: an enricher with enrich_batch may"


def try_envelope(name: str, envelope: Envelope, findings: Findings, budget_seconds: float) -> None:
    """Has an envelope read documents as a worker would, and notes what it breaks.

    Args:
        name: what it is registered as.
        envelope: the envelope.
        findings: where broken rules of the contract are noted.
        budget_seconds: for each document.
    """
    whose = f"the envelope {name}"
    if not is_described(envelope):
        findings.add("described", f"{whose} has no docstring", culprit=whose)
    copy = travelled(envelope, whose, findings)
    bounded = BoundedCalls(whose, budget_seconds)
    try:
        for document in (*sample_documents(_DOCUMENTS, seed=4, wrapped=0.5), *_ODD_DOCUMENTS):
            record = json_codec.encode(document)
            first, second = twice(bounded, functools.partial(_read, copy), record)
            if isinstance(second, EnricherFault):
                late = f"for {_shown(record)}, {whose} did not answer within {budget_seconds:g} s"
                findings.add("in_time", late, _QUICKER, culprit=whose)
                return  # every further document could hang as long
            seen = _wrong_with(first, whose)
            if seen:
                findings.add("envelope", f"for {_shown(record)}, {whose} {seen}", culprit=whose)
                continue
            differing = _differing(first, second)
            if differing:
                seen = f"for {_shown(record)}, {whose}, called again, gave another {differing}"
                findings.add("envelope_same_again", seen, culprit=whose)
    finally:
        bounded.close()


def _read(envelope: Envelope, record: bytes) -> Any:
    return envelope(json_codec.decode(record), _SOURCE)  # each time a document of its own, as in a pipeline


def _wrong_with(outcome: Any, whose: str) -> str | None:
    if isinstance(outcome, RejectRecord):
        refused = bounded_rejection(outcome, whose)
        return refused.text if isinstance(refused, EnricherFault) else None
    if isinstance(outcome, BaseException):
        return f"raised {describe_error(outcome)}"
    if not isinstance(outcome, Event):
        return f"returned {type(outcome).__name__}"
    wrong = find_event_problem(outcome)
    return None if wrong is None else f"returned an Event whose {wrong}"


def _differing(first: Any, second: Any) -> str:
    """What two readings of one record do not have in common; empty where they are the same."""
    if isinstance(first, Event) and isinstance(second, Event):
        names = [field.name for field in attrs.fields(Event)]
        return ", ".join(name for name in names if getattr(first, name) != getattr(second, name))
    reasons = [getattr(outcome, "reason", type(outcome).__name__) for outcome in (first, second)]
    return "" if reasons[0] == reasons[1] else f"outcome ({reasons[0]}, then {reasons[1]})"


def _shown(record: bytes) -> str:
    most = 60
    text = record.decode()
    return text if len(text) <= most else f"{text[:most]}…"
