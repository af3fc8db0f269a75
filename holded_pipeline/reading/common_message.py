"""The envelope `holded` for the messages that most records are: one pass over the record, and the text is kept.

It reads a message only if nothing about it is unusual, and then gives the event that `json_codec.decode` and `holded`
would give. For every other record it says so, and those two read it: they know what is wrong, and where.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import (
    Entry,
    Position,
    event_with_dict,
    load_field,
    make_entry,
    text_member,
)
from holded_pipeline.model.identity import MAX_KEY_CHARACTERS, PackageIds, event_id_of
from holded_pipeline.model.timestamps import parse_timestamp
from holded_pipeline.model.values import Event
from holded_pipeline.reading.holded_envelope import CONTEXT, MESSAGE_ID, TIMESTAMP


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    """A record: a message, or what the collecting API stores around one. Other members make it unusual."""

    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    headers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    attributes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event_id: str | msgspec.UnsetType = msgspec.UNSET
    correlation_id: str | msgspec.UnsetType = msgspec.UNSET
    received_at: str | msgspec.UnsetType = msgspec.UNSET


_decode_message = msgspec.json.Decoder(_Message).decode
_HEADERS_MEMBER: Final = text_member("headers", b"")
_CORRELATION_MEMBER: Final = text_member("correlation_id", b"")
_COLLECTED_MEMBER: Final = text_member("collected_at", b"")
_UNSET: Final = msgspec.UNSET
_decode = json_codec.decode_own
_encode = json_codec.encode
_UNUSUAL = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)


def read_common_message(raw: bytes, position: Position, package_ids: PackageIds, *, max_depth: int) -> Event | None:
    """The event of a common message, carrying its text; None if the record has to be read by the careful way.

    Args:
        raw: the record.
        position: where it was read.
        package_ids: the correlation ids of the records of that object.
        max_depth: records that may be nested more deeply are not common.
    """
    try:
        outer = _decode_message(raw)
        message = outer
        if outer.event is not _UNSET:
            message = _decode_message(outer.event)
            if not _is_wrapper(outer, message):
                return None
        headers_text: Any = message.headers
        if headers_text is _UNSET:
            headers_text = message.attributes
        elif message.attributes is not _UNSET:
            return None
        data_text: Any = message.data
        data, headers = _decode(data_text), _decode(headers_text)
        if type(data) is not dict or type(headers) is not dict:
            return None
        documents = _Documents(data, bytes(data_text), _encode(data), headers, bytes(headers_text), _encode(headers))
        if _is_unusual_text(raw, outer, message, documents, max_depth):
            return None
        return _make_event(raw, outer, documents, position, package_ids)
    except _UNUSUAL:
        return None


class _Documents(NamedTuple):
    """Data and headers: decoded, as they were sent, and encoded again."""

    data: dict[str, Any]
    data_text: bytes
    data_encoded: bytes
    headers: dict[str, Any]
    headers_text: bytes
    headers_encoded: bytes


def _is_wrapper(outer: _Message, message: _Message) -> bool:
    beside = (outer.data, outer.headers, outer.attributes)
    within = (message.event, message.event_id, message.correlation_id, message.received_at)
    return all(member is _UNSET for member in (*beside, *within))


# A member whose name occurs twice is dropped by decoding, and its colon with it. So each colon of the record has to be
# accounted for: those of data and headers as they are encoded again, one for each other member, and those within the
# texts of these. See `json_codec` for examples, and for the escapes that would hide a colon.
#
# Each level of nesting but the first stands behind a colon or a bracket, so their number is a bound of the depth.
def _is_unusual_text(raw: bytes, outer: _Message, message: _Message, documents: _Documents, max_depth: int) -> bool:
    r"""Whether the text may hold a name twice, U+0000, or too many levels; escapes other than `\u` are harmless."""
    expected = documents.data_encoded.count(b":") + documents.headers_encoded.count(b":") + 2
    if outer is not message or outer.event_id is not _UNSET or outer.correlation_id is not _UNSET:
        expected += outer is not message
        for text in (outer.event_id, outer.correlation_id, outer.received_at):
            if text is not _UNSET:
                expected += 1 + text.count(":")
        if b"\\u0000" in raw or b"\\u003" in raw:
            return True
    elif outer.received_at is not _UNSET:
        return True
    colons = raw.count(b":")
    return (
        colons != expected
        or colons + 1 + raw.count(b"[") > max_depth
        or (b"\\" in documents.data_text and (b"\\u0000" in documents.data_text or b"\\u003" in documents.data_text))
        or b"\\u00" in documents.headers_text
    )


def _make_event(
    raw: bytes, outer: _Message, documents: _Documents, position: Position, package_ids: PackageIds
) -> Event:
    if b"\n" in raw or b"\t" in raw or b"\r" in raw:  # between its members: the text must stand on one line
        documents = documents._replace(data_text=documents.data_encoded, headers_text=documents.headers_encoded)
    headers = documents.headers
    context, message_id, sent_at = headers[CONTEXT], headers[MESSAGE_ID], headers[TIMESTAMP]
    event_id = event_id_of(_key(message_id["id"] if type(message_id) is dict else message_id))
    user_id = context.get("userId")
    return event_with_dict(
        {
            "id": event_id,
            "type": _known_key(headers["type"]),
            "company_id": _known_key(context["accountId"]),
            "occurred_at": parse_timestamp(sent_at["dispatchedAt"] if type(sent_at) is dict else sent_at),
            "user_id": None if user_id is None else _known_key(user_id),
            "raw": raw,
            "attempts": 1,
            "replay_of": None,
            "_load": load_field,
            "_data": documents.data,
            "_data_text": documents.data_text,
            "_data_encoded": documents.data_encoded,
            "_entries": _entries(outer, event_id, documents, position, package_ids),
            "_position": position,
        }
    )


def _key(value: Any) -> str:
    if type(value) is int:
        value = str(value)
    if type(value) is not str or len(value) > MAX_KEY_CHARACTERS or not value.strip():
        raise ValueError("not an id that is common")
    return value


@lru_cache(maxsize=10_000, typed=True)  # a run has few types and companies, each many times
def _known_key(value: Any) -> str:
    return _key(value)


def _entries(
    outer: _Message, event_id: str, documents: _Documents, position: Position, package_ids: PackageIds
) -> dict[str, Entry]:
    given = outer.correlation_id
    if given is _UNSET:
        given = package_ids.id_of(position[1])
    entries: dict[str, Entry] = {"correlation_id": (_key(given), _CORRELATION_MEMBER + _encode(given))}
    if outer.received_at is not _UNSET:
        text = parse_timestamp(outer.received_at).isoformat()
        entries["collected_at"] = (text, _COLLECTED_MEMBER + _encode(text))
    entries["headers"] = (documents.headers, _HEADERS_MEMBER + documents.headers_text)
    if outer.event_id is not _UNSET and outer.event_id != event_id:
        entries["envelope"] = make_entry("envelope", {"event_id": _key(outer.event_id)})
    return entries
