"""The bytes of events and rejections between workers: JSON for all fields but `raw`, whose bytes stand beside it.

JSON values come back unaltered. A value that has no JSON form raises an error rather than being changed.
"""

from __future__ import annotations

from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import attrs
import msgspec

from holded_pipeline.model import json_codec
from holded_pipeline.model.values import Event, Rejected, Source
from holded_pipeline.rejected import rejections

# Taken from the class, so that a field added to `Event` is carried too.
_EVENT_FIELDS: Final = tuple(field.name for field in attrs.fields(Event) if field.name != "raw")
_event_values = attrgetter(*_EVENT_FIELDS)


def event_to_bytes(event: Event) -> bytes:
    """The bytes of an event.

    Raises:
        TypeError: a field holds something that JSON has no form for; the message says where.
    """
    fields = dict(zip(_EVENT_FIELDS, _event_values(event), strict=True))
    fields["occurred_at"] = event.occurred_at.isoformat()
    fields["data"] = dict(event.data)
    fields["metadata"] = dict(event.metadata)
    fields["source"] = None if event.source is None else attrs.asdict(event.source)
    return _pack(fields, event.raw)


def event_from_bytes(encoded: bytes) -> Event:
    """The event that `event_to_bytes` was given."""
    fields, raw = _unpack(encoded)
    fields["occurred_at"] = datetime.fromisoformat(fields["occurred_at"])
    fields["source"] = None if fields["source"] is None else Source(**fields["source"])
    return Event(**fields, raw=raw)


def rejected_to_bytes(rejected: Rejected) -> bytes:
    """The bytes of a rejected record."""
    return _pack(rejections.to_document(attrs.evolve(rejected, raw=b"")), rejected.raw)


def rejected_from_bytes(encoded: bytes) -> Rejected:
    """The rejected record that `rejected_to_bytes` was given."""
    document, raw = _unpack(encoded)
    return attrs.evolve(rejections.from_document(document), raw=raw)


def _pack(value: Any, raw: bytes) -> bytes:
    json_codec.check_json_value(value)
    return msgspec.msgpack.encode((json_codec.encode(value), raw))


def _unpack(encoded: bytes) -> tuple[Any, bytes]:
    text, raw = msgspec.msgpack.decode(encoded, type=tuple[bytes, bytes])
    return json_codec.decode_own(text), raw
