"""How a producer's JSON becomes an `Event`: the built-in envelopes `holded`, `flat` and `event`.

An envelope is a function `(document, source) -> Event` without side effects. For a document that does not fit it
raises `RejectRecord` with everything that is missing or wrong, each with its JSON Pointer; the reasons are
`not_an_object`, `missing_field`, `conflicting_headers`, `invalid_field` and `implausible_timestamp`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.timestamp_rules import ANY_TIMESTAMPS, DEFAULT_TIMESTAMPS, Timestamps
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelope_fields import (
    INVALID,
    WRAPPER_MEMBERS,
    FieldReader,
    package_metadata,
    require_object,
)
from holded_pipeline.reading.holded_envelope import account_id_of, holded

__all__ = ["ENVELOPES", "Envelope", "company_ids_of", "event_document", "flat", "holded", "stored_event"]

Envelope = Callable[[Any, Source], Event]
"""`(document, source) -> Event`: how one producer's JSON becomes an event."""

STORED_LEVELS = 2
"""How many levels `event_document` adds around a value, at most: two, around an entry of the metadata."""

_FLAT_MEMBERS = frozenset({"event_id", "event_type", "company_id", "timestamp", "user_id"})
_EVENT_TEXTS = ("id", "type", "company_id")
_EVENT_MEMBERS = frozenset({*_EVENT_TEXTS, "user_id", "occurred_at", "data", "metadata", "source"})


def flat(document: Any, source: Source, *, timestamps: Timestamps = DEFAULT_TIMESTAMPS) -> Event:
    """Reads an object with `event_id`, `event_type`, `company_id` and `timestamp`; the rest of it is the data.

    `user_id`, `correlation_id` and `received_at` are read where they are. Ids may be integers and become text;
    `timestamp` is a number since 1970, in milliseconds by default, or ISO-8601. The form that the collecting API
    stores, with the object under `event`, is read too, with the `sender` around it; an object without an `event_id`
    then takes the one it was collected under.

    Args:
        document: the JSON value of one record.
        source: where it was read.
        timestamps: how timestamps are read, and which are accepted.

    Raises:
        RejectRecord: the document does not fit; see this module.
    """
    reader = FieldReader("flat", timestamps)
    outer = require_object(document, "flat")
    is_wrapped = "event_type" not in outer and isinstance(outer.get("event"), Mapping)
    fields, prefix = (outer["event"], "/event") if is_wrapped else (outer, "")
    event_id = fields.get("event_id")
    event_id = reader.key(
        outer.get("event_id") if event_id is None else event_id, f"{prefix}/event_id", "the event's key"
    )
    event_type = reader.key(fields.get("event_type"), f"{prefix}/event_type", "what happened")
    company_id = reader.key(fields.get("company_id"), f"{prefix}/company_id", "whom it concerns")
    user_id = reader.key(fields.get("user_id"), f"{prefix}/user_id", "who did it", required=False)
    occurred_at = reader.timestamp(fields.get("timestamp"), f"{prefix}/timestamp", "when it happened")
    metadata = package_metadata(outer, source, reader, is_wrapped=is_wrapped)
    reader.check()
    read = _FLAT_MEMBERS if is_wrapped else _FLAT_MEMBERS | WRAPPER_MEMBERS
    return Event(
        id=event_id,
        type=event_type,
        company_id=company_id,
        user_id=user_id,
        occurred_at=occurred_at,
        data={name: value for name, value in fields.items() if name not in read},
        metadata=metadata,
        source=source,
    )


def company_ids_of(document: Mapping[str, Any]) -> frozenset[str]:
    """The companies that the envelopes `holded` and `flat` would read from a document: usually one, or none.

    Args:
        document: the document as it was sent, not as it was stored. Need not fit an envelope otherwise.
    """
    flat_id = FieldReader("flat").key(document.get("company_id"), "/company_id", "whom it concerns", required=False)
    return frozenset(company for company in (account_id_of(document), flat_id) if company is not None)


def stored_event(document: Any, source: Source, *, timestamps: Timestamps = ANY_TIMESTAMPS) -> Event:
    """Reads back what `WriteMinIO` stores: the form that `event_document` makes.

    The event keeps the source it was first read from; `RecordReader` gives one to an event that has none.

    Args:
        document: the JSON value of one record.
        source: where it was read.
        timestamps: how timestamps are read, and which are accepted.

    Raises:
        RejectRecord: the document does not fit; see this module.
    """
    del source  # the event keeps the source it was first read from
    reader = FieldReader("event", timestamps)
    fields = require_object(document, "event")
    for name in sorted(set(fields) - _EVENT_MEMBERS):
        pointer = json_pointer([name])
        reader.add(INVALID, pointer, "additionalProperties", f"{pointer} is not a member of a stored event")
    for name in _EVENT_TEXTS:
        _require_text(fields.get(name), f"/{name}", reader)
    if fields.get("user_id") is not None:
        _require_text(fields["user_id"], "/user_id", reader)
    occurred_at = reader.timestamp(fields.get("occurred_at"), "/occurred_at", "when it happened")
    data = reader.mapping(fields.get("data"), "/data", "the business document")
    metadata = reader.mapping(fields.get("metadata"), "/metadata", "what was learned", required=False)
    first_source = _read_source(fields.get("source"), reader)
    reader.check()
    return Event(
        id=fields["id"],
        type=fields["type"],
        company_id=fields["company_id"],
        user_id=fields.get("user_id"),
        occurred_at=occurred_at,
        data=data,
        metadata=metadata or {},
        source=first_source,
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


ENVELOPES: Mapping[str, Envelope] = {"holded": holded, "flat": flat, "event": stored_event}
"""The built-in envelopes by name."""


def _require_text(value: Any, pointer: str, reader: FieldReader) -> None:
    if value is None:
        reader.missing(pointer, "a stored event has it")
    elif not isinstance(value, str):
        reader.add(INVALID, pointer, "type", f"{pointer} must be text")


def _read_source(value: Any, reader: FieldReader) -> Source | None:
    fields = reader.mapping(value, "/source", "where the event was read", required=False)
    if fields is None:
        return None
    texts = all(isinstance(fields.get(name), str) for name in ("bucket", "key", "etag"))
    numbers = type(fields.get("line")) is int and type(fields.get("item")) in (int, type(None))
    if not (texts and numbers and set(fields) <= {field.name for field in attrs.fields(Source)}):
        reader.add(INVALID, "/source", "type", "/source must hold bucket, key, etag, line and perhaps item")
        return None
    return Source(**fields)
