"""Events of all shapes: a plugin meets them sooner or later, so it is tested with them before it is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import attrs

from holded_pipeline.model import json_codec
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.holded_envelope import holded
from holded_pipeline.testing.samples.events import START, sample_events

_EVENTS_PER_TYPE = 2
_SAMPLES = 200  # enough for two of the rarest type
_DEPTH = 60

_ODD_DATA: Final[Mapping[str, Mapping[str, Any]]] = {
    "empty data": {},
    "nothing but nulls": dict.fromkeys(("id", "amount", "currency", "email", "contact", "lines", "vatNumber", "date")),
    "other types than usual": {
        "id": 7,
        "amount": "twelve",
        "currency": ["EUR"],
        "email": False,
        "contact": [{"id": {}}],
        "payer": "somebody",
        "address": 0,
        "country": {"code": 34},
        "lines": {"first": {}},
        "tags": "none",
        "vatNumber": 12.5,
        "createdAt": {"date": "2026"},
    },
    "arrays of odds and ends": {"lines": [None, 1, "two", [], {}, [[{}]]], "persons": [], "address": [{}], "tags": [0]},
    "enormous integers": {"id": "big", "amount": 10**400, "total": -(10**400), "units": 2**63},
    "long decimals": {
        "amount": Decimal("0.10000000000000000000000000000000000001"),
        "total": Decimal("1E+9000"),
        "tax": Decimal("-1E-9000"),
    },
    "floats at their ends": {"amount": 1.7976931348623157e308, "total": 5e-324, "tax": -0.0},
    "many alphabets": {
        "name": "Ñandú Łódź 東京 Ελλάδα София مرحبا 👩‍👩‍👧‍👦 e\u0301",
        "email": "ünï@exämple.com",
        "vatNumber": "\uff25\uff33\uff11\uff12\uff13",
        "country": "ß",
        "\u202eright to left": "\u202e",
    },
    "names that need escaping": {"": 1, "a/b": 2, "~": 3, " ": 4, '"': 5, "$ref": 6, "__class__": 7, "*": [8]},
    "empty texts": {"id": "", "email": "", "vatNumber": " ", "country": "", "address": {"country": ""}, "currency": ""},
    "a long text": {"id": "long", "notes": "lorem ipsum " * 10_000, "email": "@" * 2_000, "vatNumber": "1" * 5_000},
    "many fields": {f"field{number}": number for number in range(2_000)},
}


def contract_events() -> list[Event]:
    """Events of all shapes: sample events of every type, and hand-made odd ones whose ids say what is odd."""
    return [*_sample_events_of_each_type(), *_odd_events()]


def _sample_events_of_each_type() -> Iterator[Event]:
    counts: dict[str, int] = {}
    for number, sample in enumerate(sample_events(_SAMPLES, seed=4, wrapped=0.5), 1):
        source = Source("samples", "raw/events.jsonl", "etag", number)
        event = attrs.evolve(holded(json_codec.decode(sample.line), source), raw=sample.line)
        counts[event.type] = counts.get(event.type, 0) + 1
        if counts[event.type] <= _EVENTS_PER_TYPE:
            yield event


def _odd_events() -> Iterator[Event]:
    for name, data in _ODD_DATA.items():
        yield _odd_event(name, data)
    nested: Any = "bottom"
    for level in range(_DEPTH):
        nested = {"inner": nested} if level % 2 else [nested]
    yield _odd_event("deep nesting", {"tree": nested})
    plain = {"id": "plain", "amount": 12.5, "currency": "EUR"}
    yield attrs.evolve(_odd_event("an unknown type", plain), type="x")
    yield attrs.evolve(_odd_event("a type of odd characters", plain), type="\\\\Ñ/.. {}%s")
    yield attrs.evolve(_odd_event("nothing known but the event", plain), source=None, metadata={}, raw=b"")
    yield attrs.evolve(_odd_event("the first of all moments", plain), occurred_at=datetime(1, 1, 1, tzinfo=UTC))
    yield attrs.evolve(
        _odd_event("the last of all moments", plain),
        occurred_at=datetime.max.replace(tzinfo=UTC),
        metadata={"collected_at": "0001-01-01T00:00:00+00:00", "correlation_id": "c"},
    )
    yield attrs.evolve(
        _odd_event("metadata of another shape", plain),
        user_id="",
        metadata={"collected_at": 7, "schema": [], "headers": "none", "processing": [], "quality": "poor"},
    )


def _odd_event(name: str, data: Mapping[str, Any]) -> Event:
    return Event(
        id=f"odd: {name}",
        type=r"Holded\Accounting\Domain\Invoice\Events\InvoiceIssuedEvent",
        company_id="507f1f77bcf86cd799439011",
        occurred_at=START,
        data=data,
        source=Source("samples", "raw/odd.jsonl", "etag", 1),
        raw=json_codec.encode(data),
    )
