"""The envelope `holded` for the messages that most records are: one pass over the record, and the text is kept.

It reads a message only if nothing about it is unusual, and then gives the event that `json_codec.decode` and `holded`
would give. For every other record it says so, and those two read it: they know what is wrong, and where.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

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
from holded_pipeline.model.timestamp_rules import DEFAULT_TIMESTAMPS, Timestamps
from holded_pipeline.model.values import Event
from holded_pipeline.reading.envelope_fields import SENDER
from holded_pipeline.reading.holded_envelope import CONTEXT, MESSAGE_ID, TIMESTAMP


class CommonMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A record: a message, or what the collecting API stores around one. Other members make it unusual."""

    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    headers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    attributes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event_id: str | msgspec.UnsetType = msgspec.UNSET
    correlation_id: str | msgspec.UnsetType = msgspec.UNSET
    received_at: str | msgspec.UnsetType = msgspec.UNSET
    sender: str | msgspec.UnsetType = msgspec.UNSET


_decode_message = msgspec.json.Decoder(CommonMessage).decode
decode_plain = msgspec.json.Decoder().decode  # a long number loses digits, so its text is not what it encodes to
HEADERS_MEMBER: Final = text_member("headers", b"")
CORRELATION_MEMBER: Final = text_member("correlation_id", b"")
_COLLECTED_MEMBER: Final = text_member("collected_at", b"")
_UNSET: Final = msgspec.UNSET
_MAX_KNOWN_KEYS: Final = 10_000
_decode = json_codec.decode_common
_encode = json_codec.encode
UNUSUAL = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)


def read_common_message(
    raw: bytes,
    position: Position,
    package_ids: PackageIds,
    max_depth: int,
    timestamps: Timestamps = DEFAULT_TIMESTAMPS,
) -> Event | None:
    """The event of a common message, carrying its text; None if the record has to be read by the careful way.

    Args:
        raw: the record.
        position: where it was read.
        package_ids: the correlation ids of the records of that object.
        max_depth: records that may be nested more deeply are not common.
        timestamps: how timestamps are read; a record with one that is not accepted is not common.
    """
    try:
        outer = _decode_message(raw)
        if outer.event is not _UNSET:
            message = _wrapped_message(outer)
        elif outer.sender is _UNSET:  # beside the members of a message it is what the producer sent
            message = outer
        else:
            return None
        documents = _read_documents(message)
        if documents is None or raw.count(b"{") + raw.count(b"[") > max_depth:  # a bound of the depth
            return None
        data, data_text, data_encoded, headers, headers_text, headers_encoded = documents
        if (
            data_encoded != data_text
            or headers_encoded != headers_text
            or not _is_shortest(outer, message, len(raw) - len(data_text) - len(headers_text))
        ):
            if _may_hide_members(raw, outer, message, documents):
                return None
            if b"\n" in raw or b"\t" in raw or b"\r" in raw:  # between its members: the text must stand on one line
                documents = data, data_encoded, data_encoded, headers, headers_encoded, headers_encoded
        return _make_event(raw, outer, documents, position, package_ids, timestamps=timestamps)
    except UNUSUAL:
        return None


def _wrapped_message(outer: CommonMessage) -> CommonMessage:
    """The message in what the collecting API stores around one; ValueError if the wrapper has other members."""
    message = _decode_message(outer.event)  # type: ignore[arg-type]
    beside = (outer.data, outer.headers, outer.attributes)
    within = (message.event, message.event_id, message.correlation_id, message.received_at, message.sender)
    if any(member is not _UNSET for member in (*beside, *within)):
        raise ValueError("not a wrapper that is common")
    return message


_Documents = tuple[dict[str, Any], bytes, bytes, dict[str, Any], bytes, bytes]
"""Data and headers, each decoded, as sent, and encoded again."""


def _read_documents(message: CommonMessage) -> _Documents | None:
    """Data and headers, if nothing about them is unusual."""
    raw_headers: Any = message.headers
    if raw_headers is _UNSET:
        raw_headers = message.attributes
    elif message.attributes is not _UNSET:
        return None
    data_text, headers_text = bytes(message.data), bytes(raw_headers)  # type: ignore[arg-type]
    if b"\\u00" in headers_text or (b"\\" in data_text and b"\\u0000" in data_text):
        return None
    data, data_encoded = _read_data(data_text)
    headers = _decode(headers_text)
    if type(data) is not dict or type(headers) is not dict:
        return None
    return data, data_text, data_encoded, headers, headers_text, _encode(headers)


def _read_data(text: bytes) -> tuple[Any, bytes]:
    """The value of a document, and its text when it is encoded again."""
    # What a number's text says is looked at by code in Python, so it is worth to try without: a text that comes out
    # as it went in has no number that lost a digit. With escapes it would not come out so.
    if b"\\" not in text and b'": ' not in text:
        value = decode_plain(text)
        encoded = _encode(value)
        if encoded == text:
            return value, encoded
    value = _decode(text)
    return value, _encode(value)


# A member whose name occurs twice is dropped by decoding. Three proofs that none was, for a record
# {"data":D,"headers":H} or {"event_id":"…","event":{"data":D,"headers":H}}:
#   - D and H encode to what they were, so nothing within them was dropped;
#   - the record has the size of its shortest form, so there is no room for another member beside them;
#   - or else the colons of the record are all accounted for (`_may_hide_members`).
_WITH_HEADERS: Final = len(b'{"data":,"headers":}')
_WITH_ATTRIBUTES: Final = len(b'{"data":,"attributes":}')
_WRAPPER_SIZE: Final = len(b'{"event":}')
_TEXT_SIZES: Final = tuple(
    len(b'"%b":"",' % name) for name in (b"event_id", b"correlation_id", b"received_at", b"sender")
)


def _is_shortest(outer: CommonMessage, message: CommonMessage, around: int) -> bool:
    """Whether a record has the size of the shortest text with its members, each once.

    Args:
        outer: the record.
        message: the message in it.
        around: the bytes of the record that are neither data nor headers.
    """
    size = _WITH_HEADERS if message.attributes is _UNSET else _WITH_ATTRIBUTES
    if outer is not message:
        texts = outer.event_id, outer.correlation_id, outer.received_at, outer.sender
        for text, names in zip(texts, _TEXT_SIZES, strict=True):
            if text is not _UNSET:
                size += names + len(text.encode())
        size += _WRAPPER_SIZE
    return around == size


# A member that was dropped is gone with its colon. So each colon of the record has to be accounted for: those of data
# and headers as they are encoded again, one for each other member, and those within the texts of these. See
# `json_codec` for examples, and for the escapes that would hide a colon.
def _may_hide_members(raw: bytes, outer: CommonMessage, message: CommonMessage, documents: _Documents) -> bool:
    r"""Whether the text may hold a name twice or U+0000; escapes other than `\u` are harmless."""
    _, data_text, data_encoded, _, _, headers_encoded = documents
    expected = data_encoded.count(b":") + headers_encoded.count(b":") + 2
    if outer is not message or outer.event_id is not _UNSET or outer.correlation_id is not _UNSET:
        expected += outer is not message
        for text in (outer.event_id, outer.correlation_id, outer.received_at, outer.sender):
            if text is not _UNSET:
                expected += 1 + text.count(":")
        if b"\\u0000" in raw or b"\\u003" in raw:
            return True
    elif outer.received_at is not _UNSET:
        return True
    return raw.count(b":") != expected or (b"\\" in data_text and (b"\\u0000" in data_text or b"\\u003" in data_text))


def _make_event(
    raw: bytes,
    outer: CommonMessage,
    documents: _Documents,
    position: Position,
    package_ids: PackageIds,
    *,
    timestamps: Timestamps,
) -> Event:
    data, data_text, data_encoded, headers, headers_text, _ = documents
    context, message_id, sent_at = headers[CONTEXT], headers[MESSAGE_ID], headers[TIMESTAMP]
    event_id = event_id_of(valid_key(message_id["id"] if type(message_id) is dict else message_id))
    user_id = context.get("userId")
    correlation_id = (
        package_ids.id_of(position[1]) if outer.correlation_id is _UNSET else valid_key(outer.correlation_id)
    )
    entries: dict[str, Entry] = {
        "correlation_id": (correlation_id, CORRELATION_MEMBER + _encode(correlation_id)),
        "headers": (headers, HEADERS_MEMBER + headers_text),
    }
    if outer.received_at is not _UNSET or outer.event_id is not _UNSET or outer.sender is not _UNSET:
        add_wrapper_entries(entries, outer, event_id, timestamps)
    return event_with_dict(
        {
            "id": event_id,
            "type": _known_keys[headers["type"]],
            "company_id": _known_keys[context["accountId"]],
            "occurred_at": timestamps.read(sent_at["dispatchedAt"] if type(sent_at) is dict else sent_at),
            "user_id": None if user_id is None else _known_keys[user_id],
            "raw": raw,
            "attempts": 1,
            "replay_of": None,
            "_load": load_field,
            "_data": data,
            "_data_text": data_text,
            "_data_encoded": data_encoded,
            "_entries": entries,
            "_position": position,
            "_carried_bytes": len(raw),
        }
    )


def add_wrapper_entries(entries: dict[str, Entry], outer: CommonMessage, event_id: str, timestamps: Timestamps) -> None:
    """Adds what the collecting API stored around a message."""
    if outer.received_at is not _UNSET:
        text = timestamps.read(outer.received_at).isoformat()
        entries["collected_at"] = (text, _COLLECTED_MEMBER + _encode(text))
    if outer.sender is not _UNSET:
        entries[SENDER] = _sender_entry(outer.sender)
    if outer.event_id is not _UNSET and outer.event_id != event_id:
        entries["envelope"] = make_entry("envelope", {"event_id": valid_key(outer.event_id)})


def valid_key(value: Any) -> str:
    """An id, type, company or user; ValueError for one that the careful way has to look at."""
    if type(value) is int:
        value = str(value)
    if type(value) is not str or len(value) > MAX_KEY_CHARACTERS or not value.strip():
        raise ValueError("not an id that is common")
    return value


@lru_cache(maxsize=1_000)  # few keys send many events
def _sender_entry(sender: str) -> Entry:
    return make_entry(SENDER, valid_key(sender))


class _KnownKeys(dict[str, str]):
    """Types, companies and users, checked: a run has few of them, each many times."""

    def __missing__(self, value: Any) -> str:
        key = valid_key(value)
        if type(value) is str:  # `1` and `True` are equal, and only one of them is a key
            if len(self) >= _MAX_KNOWN_KEYS:
                self.clear()
            self[value] = key
        return key


_known_keys = _KnownKeys()
