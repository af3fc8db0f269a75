"""How events and rejections cross from one worker to another: JSON for the values, the raw bytes beside it.

Lossless for JSON values; a value that has no JSON form is refused rather than changed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
import msgspec

from holded_pipeline.model import json_codec
from holded_pipeline.model.values import Event, Rejected, Source
from holded_pipeline.rejected import rejections


def encode_event(event: Event) -> bytes:
    """The bytes of an event.

    Raises:
        TypeError: its data or metadata hold something that JSON has no form for; the message says where.
    """
    fields = {
        "id": event.id,
        "type": event.type,
        "company_id": event.company_id,
        "occurred_at": event.occurred_at.isoformat(),
        "user_id": event.user_id,
        "data": dict(event.data),
        "metadata": dict(event.metadata),
        "source": None if event.source is None else attrs.asdict(event.source),
        "attempts": event.attempts,
        "replay_of": event.replay_of,
    }
    return _join(fields, event.raw)


def decode_event(encoded: bytes) -> Event:
    """The event of its bytes."""
    fields, raw = _split(encoded)
    fields["occurred_at"] = datetime.fromisoformat(fields["occurred_at"])
    fields["source"] = None if fields["source"] is None else Source(**fields["source"])
    return Event(**fields, raw=raw)


def encode_rejected(rejected: Rejected) -> bytes:
    """The bytes of a rejected record."""
    return _join(rejections.to_document(attrs.evolve(rejected, raw=b"")), rejected.raw)


def decode_rejected(encoded: bytes) -> Rejected:
    """The rejected record of its bytes."""
    document, raw = _split(encoded)
    return attrs.evolve(rejections.from_document(document), raw=raw)


def _join(value: Any, raw: bytes) -> bytes:
    json_codec.check_json_value(value)
    return msgspec.msgpack.encode((json_codec.encode(value), raw))


def _split(encoded: bytes) -> tuple[Any, bytes]:
    text, raw = msgspec.msgpack.decode(encoded, type=tuple[bytes, bytes])
    return json_codec.decode_own(text), raw
