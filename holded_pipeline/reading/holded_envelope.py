"""The envelope `holded`: messages of Holded's services, as they were sent or as the collecting API stored them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from holded_pipeline.model.identity import event_id_of
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.timestamp_rules import DEFAULT_TIMESTAMPS, Timestamps
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelope_fields import (
    CONFLICT,
    SENDER,
    WRAPPER_MEMBERS,
    FieldReader,
    package_metadata,
    require_object,
)

CONTEXT = r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\NewContextStamp"
TIMESTAMP = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\TimestampStamp"
MESSAGE_ID = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\MessageIdStamp"
_HEADERS = ("headers", "attributes")
_MESSAGE_MEMBERS = frozenset({"data", *_HEADERS})


def holded(document: Any, source: Source, *, timestamps: Timestamps = DEFAULT_TIMESTAMPS) -> Event:
    r"""Reads a message of Holded's services: `{"data": {...}, "headers": {...}}`.

    `attributes` may stand for `headers`, or beside them if they do not contradict each other. The form that the
    collecting API stores is read too: `event_id`, `correlation_id` and `received_at` around the message, which is
    then under `event`, or beside its `data` and `headers`; and around one under `event` its `sender`.

    The id comes from the message id alone, so the same message is the same event in every package and wrapper;
    only a message without an id takes the `event_id` it was collected under. `data` stays as it was sent.
    `metadata` gets `correlation_id` (of the package), `collected_at` and `sender` (the name of the API key) if they are
    known, `headers` in full, and under `envelope` whatever else the producer put around the message.

    Args:
        document: the JSON value of one record.
        source: where it was read.
        timestamps: how timestamps are read, and which are accepted.

    Raises:
        RejectRecord: the document does not fit; see `envelopes`.
    """
    reader = FieldReader("holded", timestamps)
    outer = require_object(document, "holded")
    message, pointer = _unwrap(outer, reader)
    data = reader.mapping(message.get("data"), f"{pointer}/data", "the business document")
    headers, headers_at = _merge_headers(message, pointer, reader)
    stamps = _Stamps.read(headers, headers_at, reader)
    collected_as = reader.key(outer.get("event_id"), "/event_id", "the id it was collected under", required=False)
    if stamps.message_id is None and collected_as is None and headers is not None:
        _report_missing_id(headers, headers_at, reader)
    metadata = package_metadata(outer, source, reader, is_wrapped=message is not outer)
    reader.check()
    event_id = event_id_of(stamps.message_id or collected_as)
    around = _unread_members(outer, message, event_id)
    return Event(
        id=event_id,
        type=stamps.type,
        company_id=stamps.company_id,
        user_id=stamps.user_id,
        occurred_at=stamps.dispatched_at,
        data=data,
        metadata=metadata | {"headers": headers} | ({"envelope": around} if around else {}),
        source=source,
    )


def message_id_of(document: Any) -> str | None:
    """The id that the envelope `holded` would read from this message; None if there is no valid one.

    Args:
        document: the message as it was sent, not as it was stored. Need not fit the envelope otherwise.
    """
    reader = FieldReader("holded")
    headers, headers_at = _headers_of_sent(document, reader)
    if headers is None:
        return None
    message_id: str | None = reader.key(*_message_id_field(headers, headers_at), required=False)
    return message_id


def account_id_of(document: Any) -> str | None:
    """The company that the envelope `holded` would read from this message; None if there is no valid one.

    Args:
        document: the message as it was sent, not as it was stored. Need not fit the envelope otherwise.
    """
    reader = FieldReader("holded")
    headers, headers_at = _headers_of_sent(document, reader)
    company_id: str | None = _Stamps.read(headers, headers_at, reader).company_id
    return company_id


@attrs.frozen
class _Stamps:
    """The fields of an event that are read from the headers."""

    type: Any
    company_id: Any
    user_id: str | None
    dispatched_at: Any
    message_id: str | None

    @classmethod
    def read(cls, headers: Mapping[str, Any] | None, headers_at: str, reader: FieldReader) -> _Stamps:
        if headers is None:
            return cls(None, None, None, None, None)
        pointer = headers_at + json_pointer([CONTEXT])
        context = reader.mapping(headers.get(CONTEXT), pointer, "the context with the company's accountId")
        company_id = user_id = None
        if context is not None:
            company_id = reader.key(context.get("accountId"), f"{pointer}/accountId", "the company")
            user_id = reader.key(context.get("userId"), f"{pointer}/userId", "the user", required=False)
        return cls(
            reader.key(headers.get("type"), f"{headers_at}/type", "the PHP class of the event"),
            company_id,
            user_id,
            reader.timestamp(*_stamp_value(headers, headers_at, TIMESTAMP, "dispatchedAt"), "when it was dispatched"),
            reader.key(*_message_id_field(headers, headers_at), required=False),
        )


def _unwrap(outer: Mapping[str, Any], reader: FieldReader) -> tuple[Mapping[str, Any], str]:
    """Returns the message inside the wrapper, if there is one, and the pointer to it."""
    if "event" not in outer or "data" in outer or any(name in outer for name in _HEADERS):
        return outer, ""
    inner = reader.mapping(outer["event"], "/event", "the message that was collected")
    if inner is None:
        reader.check()
    return inner, "/event"


def _headers_of_sent(document: Any, reader: FieldReader) -> tuple[dict[str, Any] | None, str]:
    """As `_merge_headers`, of a document that may be of any kind."""
    return _merge_headers(document, "", reader) if isinstance(document, Mapping) else (None, "")


def _merge_headers(message: Mapping[str, Any], pointer: str, reader: FieldReader) -> tuple[dict[str, Any] | None, str]:
    """Returns the headers, whatever they are called, and the pointer to them."""
    first, second = (
        reader.mapping(message.get(name), f"{pointer}/{name}", "the message's headers", required=False)
        for name in _HEADERS
    )
    if first is not None and second is not None:
        for name in first:
            if name in second and first[name] != second[name]:
                header = f"{pointer}/attributes{json_pointer([name])}"
                reader.add(
                    CONFLICT, header, "const", f"{header} contradicts the header of the same name; send one of them"
                )
        return {**second, **first}, f"{pointer}/headers"
    if first is None and second is None and all(message.get(name) is None for name in _HEADERS):
        reader.missing(f"{pointer}/headers", "the message's headers, which may also be called attributes")
    if first is not None:
        return dict(first), f"{pointer}/headers"
    return (None if second is None else dict(second)), f"{pointer}/attributes"


def _stamp_value(headers: Mapping[str, Any], headers_at: str, stamp: str, member: str) -> tuple[Any, str]:
    """Returns the value of a stamp, which may be an object or the value itself, and the pointer to it."""
    value = headers.get(stamp)
    pointer = headers_at + json_pointer([stamp])
    return (value.get(member), f"{pointer}/{member}") if isinstance(value, Mapping) else (value, pointer)


def _message_id_field(headers: Mapping[str, Any], headers_at: str) -> tuple[Any, str, str]:
    return *_stamp_value(headers, headers_at, MESSAGE_ID, "id"), "the message's id"


def _report_missing_id(headers: Mapping[str, Any], headers_at: str, reader: FieldReader) -> None:
    value, pointer, _ = _message_id_field(headers, headers_at)
    if value is None:
        reader.missing(pointer, "the message's id, and there is no event_id around the message either")


def _unread_members(outer: Mapping[str, Any], message: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """Returns the members that no field of the event was read from, so that they are kept too."""
    read = _MESSAGE_MEMBERS | WRAPPER_MEMBERS if message is outer else WRAPPER_MEMBERS | {"event", SENDER}
    around = {name: value for name, value in outer.items() if name not in read}
    if outer.get("event_id") not in (None, event_id):
        around["event_id"] = outer["event_id"]
    if message is not outer and (rest := {n: v for n, v in message.items() if n not in _MESSAGE_MEMBERS}):
        around["event"] = rest
    return around
