"""Rejected records: how they are made, and their JSON form (`rejected.schema.json` beside this file)."""

from __future__ import annotations

import base64
import codecs
import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, PayloadKind, Rejected, SchemaRef, Source, Violation
from holded_pipeline.reading.envelopes import event_document
from holded_pipeline.user_code.errors import result_or_error

_PIECE = 3 << 18  # bytes of a large record turned to text at a time; of three, so that base64 pads only at the end


def reject(
    fault: RejectRecord,
    *,
    stage: str,
    raw: bytes,
    run_id: str,
    rejected_at: datetime,
    step: str = "",
    source: Source | None = None,
    schema: SchemaRef | None = None,
    event: Event | None = None,
    payload_kind: PayloadKind = "record",
    replays: Rejected | None = None,
) -> Rejected:
    """The rejected record for `fault`.

    `step` is a name that no other transform of the run has: two of them may refuse one record for one reason. With
    `event`, its bytes (see `raw_of`), source, id, type and history are taken over; with `replays`, the history
    of the rejection that could not even be made an event again.
    """
    attempts, replay_of = (1, None) if replays is None else (replays.attempts + 1, replays.id)
    if event is not None:
        raw, source, payload_kind = raw_of(event), event.source, "record" if event.raw else "event"
        attempts, replay_of = event.attempts, event.replay_of
    found_in = (schema.subject if schema else None, event.id if event else None, event.type if event else None)
    refused_as = (run_id, stage, step, fault.reason, *found_in)
    return Rejected(
        id=_replayed_id(replay_of) if replay_of else _rejection_id(raw, source, *refused_as),
        stage=stage,
        reason=fault.reason,
        message=fault.message,
        raw=raw,
        rejected_at=rejected_at,
        run_id=run_id,
        source=source,
        violations=fault.violations,
        schema=schema,
        event_id=event.id if event else None,
        event_type=event.type if event else None,
        attempts=attempts,
        replay_of=replay_of,
        payload_kind=payload_kind,
    )


def raw_of(element: Any) -> bytes:
    """The bytes of an element that are worth keeping.

    For an event that was read, the record it was read from; for one that code made, its JSON form, which the
    envelope `event` reads back; for anything else its JSON, or where it has none its repr.
    """
    if isinstance(element, Event):
        if element.raw:
            return element.raw
        element = event_document(element)
    try:
        json_codec.check_json_value(element)
        return json_codec.encode(element)
    except (TypeError, ValueError):
        text = result_or_error(repr, element)  # which a stranger's class may have made, too
        return (text if isinstance(text, str) else object.__repr__(element)).encode("utf-8", "backslashreplace")


def _rejection_id(raw: bytes, source: Source | None, *refused_as: str | None) -> str:
    """Depends on the record, its place and what refused it, so that a bundle tried again names its rejections alike.

    The message does not count: it may hold a time.
    """
    place = None if source is None else attrs.astuple(source)
    digest = hashlib.sha256(repr((place, *refused_as)).encode("utf-8", "backslashreplace"))
    digest.update(b"\n")
    digest.update(raw)
    return digest.hexdigest()[:32]


def _replayed_id(replay_of: str) -> str:
    """One name for whatever becomes of a replay, so that replaying twice never makes two rejections of one."""
    return hashlib.sha256(b"replay of\0" + replay_of.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def to_document(rejected: Rejected) -> dict[str, Any]:
    """The JSON form. Original bytes that are UTF-8 stand as text, others as base64."""
    document = _without_record(rejected)
    try:
        record = {"payload_kind": rejected.payload_kind, "encoding": "utf-8", "content": rejected.raw.decode()}
    except UnicodeDecodeError:
        content = base64.b64encode(rejected.raw).decode()
        record = {"payload_kind": rejected.payload_kind, "encoding": "base64", "content": content}
    document["record"] = record
    return document


def to_line(rejected: Rejected) -> Iterator[bytes]:
    """The JSON form in bytes, the same as `to_document` makes; a large record comes in pieces.

    As one text it would take four bytes a character as soon as one of them lies outside the first plane, and it
    would stand beside its own JSON.
    """
    if len(rejected.raw) <= _PIECE:
        yield json_codec.encode(to_document(rejected))
        return
    encoding = "utf-8" if _is_utf8(rejected.raw) else "base64"
    record = json_codec.encode({"payload_kind": rejected.payload_kind, "encoding": encoding, "content": ""})
    yield json_codec.encode(_without_record(rejected))[:-1] + b',"record":' + record[:-2]
    if encoding == "utf-8":
        for text in _texts(rejected.raw):
            yield json_codec.encode(text)[1:-1]
    else:
        for start in range(0, len(rejected.raw), _PIECE):
            yield base64.b64encode(rejected.raw[start : start + _PIECE])
    yield b'"}}'


def _without_record(rejected: Rejected) -> dict[str, Any]:
    left_out = ("raw", "payload_kind", "rejected_at")
    document = attrs.asdict(rejected, filter=lambda attribute, _: attribute.name not in left_out)
    document["rejected_at"] = rejected.rejected_at.isoformat()
    document["violations"] = list(document["violations"])
    return document


def _texts(raw: bytes) -> Iterator[str]:
    """The text of UTF-8 bytes in pieces; a character is never cut."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(raw), _PIECE):
        yield decoder.decode(raw[start : start + _PIECE], final=start + _PIECE >= len(raw))


def _is_utf8(raw: bytes) -> bool:
    try:
        for _ in _texts(raw):
            pass
    except UnicodeDecodeError:
        return False
    return True


def from_document(document: dict[str, Any]) -> Rejected:
    """The rejected record of a JSON form; `from_document(to_document(r)) == r`."""
    fields = dict(document)
    record = fields.pop("record")
    content: str = record["content"]
    fields["payload_kind"] = record["payload_kind"] if "payload_kind" in record else record["holds"]  # its first name
    fields["raw"] = base64.b64decode(content, validate=True) if record["encoding"] == "base64" else content.encode()
    fields["rejected_at"] = datetime.fromisoformat(fields["rejected_at"])
    fields["violations"] = tuple(Violation(**violation) for violation in fields["violations"])
    fields["source"] = Source(**fields["source"]) if fields["source"] else None
    fields["schema"] = SchemaRef(**fields["schema"]) if fields["schema"] else None
    return Rejected(**fields)
