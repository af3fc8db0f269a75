"""How a producer's JSON becomes an `Event`: the envelopes `holded`, `flat` and `event`.

An envelope is a function `(document, source) -> Event` without side effects. A document that does not fit raises
`RejectRecord` with everything that is missing or wrong, each with its JSON Pointer; the reasons are
`not_an_object`, `missing_field`, `conflicting_headers` and `invalid_field`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelope_fields import (
    INVALID,
    WRAPPER_MEMBERS,
    Faults,
    package_metadata,
    require_object,
)
from holded_pipeline.reading.holded_envelope import holded

__all__ = ["ENVELOPES", "Envelope", "event", "event_document", "flat", "holded"]

Envelope = Callable[[Any, Source], Event]
"""`(document, source) -> Event`: how one producer's JSON becomes an event."""

STORED_LEVELS = 2
"""How much deeper a value may stand in what `event_document` makes: an entry of the metadata has two levels around."""

_FLAT_MEMBERS = frozenset({"event_id", "event_type", "company_id", "timestamp", "user_id"})
_EVENT_TEXTS = ("id", "type", "company_id")
_EVENT_MEMBERS = frozenset({*_EVENT_TEXTS, "user_id", "occurred_at", "data", "metadata", "source"})


def flat(document: Any, source: Source) -> Event:
    """Reads an object with `event_id`, `event_type`, `company_id` and `timestamp`; the rest of it is the data.

    `user_id`, `correlation_id` and `received_at` are read where they are. Ids may be integers and become text;
    `timestamp` is epoch milliseconds or ISO-8601. The form that the collecting API stores, with the object under
    `event`, is read too; an object without an `event_id` then takes the one it was collected under.

    Args:
        document: the JSON value of one record.
        source: its place.

    Raises:
        RejectRecord: it does not fit; see this module.
    """
    faults = Faults("flat")
    outer = require_object(document, "flat")
    is_wrapped = "event_type" not in outer and isinstance(outer.get("event"), Mapping)
    fields, at = (outer["event"], "/event") if is_wrapped else (outer, "")
    event_id = fields.get("event_id")
    event_id = faults.key(outer.get("event_id") if event_id is None else event_id, f"{at}/event_id", "the event's key")
    event_type = faults.key(fields.get("event_type"), f"{at}/event_type", "what happened")
    company_id = faults.key(fields.get("company_id"), f"{at}/company_id", "whom it concerns")
    user_id = faults.key(fields.get("user_id"), f"{at}/user_id", "who did it", required=False)
    moment = faults.moment(fields.get("timestamp"), f"{at}/timestamp", "when it happened")
    metadata = package_metadata(outer, source, faults)
    faults.check()
    read = _FLAT_MEMBERS if is_wrapped else _FLAT_MEMBERS | WRAPPER_MEMBERS
    return Event(
        id=event_id,
        type=event_type,
        company_id=company_id,
        user_id=user_id,
        occurred_at=moment,
        data={name: value for name, value in fields.items() if name not in read},
        metadata=metadata,
        source=source,
    )


def event(document: Any, source: Source) -> Event:
    """Reads back what `WriteMinIO` stores: the form that `event_document` makes.

    The event keeps the source it was first read from; one that never had any gets `source` from the reader.

    Args:
        document: the JSON value of one record.
        source: its place.

    Raises:
        RejectRecord: it does not fit; see this module.
    """
    del source  # where the copy stands says nothing about the event
    faults = Faults("event")
    fields = require_object(document, "event")
    for name in sorted(set(fields) - _EVENT_MEMBERS):
        place = json_pointer([name])
        faults.add(INVALID, place, "additionalProperties", f"{place} is no member of a stored event")
    for name in _EVENT_TEXTS:
        _text(fields.get(name), f"/{name}", faults)
    if fields.get("user_id") is not None:
        _text(fields["user_id"], "/user_id", faults)
    moment = faults.moment(fields.get("occurred_at"), "/occurred_at", "when it happened")
    data = faults.mapping(fields.get("data"), "/data", "the business document")
    metadata = faults.mapping(fields.get("metadata"), "/metadata", "what was learned", required=False)
    origin = _origin(fields.get("source"), faults)
    faults.check()
    return Event(
        id=fields["id"],
        type=fields["type"],
        company_id=fields["company_id"],
        user_id=fields.get("user_id"),
        occurred_at=moment,
        data=data,
        metadata=metadata or {},
        source=origin,
    )


def event_document(event: Event) -> dict[str, Any]:
    """The JSON form of an event, which the envelope `event` reads back; without the raw bytes."""
    return {
        "id": event.id,
        "type": event.type,
        "company_id": event.company_id,
        "user_id": event.user_id,
        "occurred_at": event.occurred_at.isoformat(),
        "data": dict(event.data),
        "metadata": dict(event.metadata),
        "source": None if event.source is None else attrs.asdict(event.source),
    }


ENVELOPES: Mapping[str, Envelope] = {"holded": holded, "flat": flat, "event": event}
"""The built-in envelopes by name."""


def _text(value: Any, place: str, faults: Faults) -> None:
    if value is None:
        faults.missing(place, "a stored event has it")
    elif not isinstance(value, str):
        faults.add(INVALID, place, "type", f"{place} must be text")


def _origin(value: Any, faults: Faults) -> Source | None:
    fields = faults.mapping(value, "/source", "where the event was read", required=False)
    if fields is None:
        return None
    texts = all(isinstance(fields.get(name), str) for name in ("bucket", "key", "etag"))
    numbers = type(fields.get("line")) is int and type(fields.get("item")) in (int, type(None))
    if not (texts and numbers and set(fields) <= {field.name for field in attrs.fields(Source)}):
        faults.add(INVALID, "/source", "type", "/source must hold bucket, key, etag, line and perhaps item")
        return None
    return Source(**fields)
