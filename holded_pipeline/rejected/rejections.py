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

_CHUNK_BYTES = 3 << 18  # a large record is encoded in chunks; a multiple of three, so that base64 pads only the last


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
    """Returns the rejection of a record for `fault`.

    `step` is a name that no other transform of the run has: two of them may reject one record for one reason. A record
    that the same step rejects for the same reason has the same id in every run. With `event`, its bytes (see `raw_of`),
    source, id, type and attempts are taken over; with `replays`, the attempts of the rejection whose record could not
    be read as an event.
    """
    attempts, replay_of = (1, None) if replays is None else (replays.attempts + 1, replays.id)
    if event is not None:
        raw, source, payload_kind = raw_of(event), event.source, "record" if event.raw else "event"
        attempts, replay_of = event.attempts, event.replay_of
    subject_and_event = (schema.subject if schema else None, event.id if event else None, event.type if event else None)
    rejected_by = (stage, step, fault.reason, *subject_and_event)
    return Rejected(
        id=_replayed_id(replay_of) if replay_of else _rejection_id(raw, source, *rejected_by),
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
    """The bytes of an element that its rejection keeps.

    For an event that was read from a store, the record; for any other event its JSON form, which the envelope `event`
    reads back; for anything else its JSON, or its repr if it is not JSON.
    """
    if isinstance(element, Event):
        if element.raw:
            return element.raw
        element = event_document(element)
    try:
        json_codec.check_json_value(element)
        return json_codec.encode(element)
    except (TypeError, ValueError):
        text = result_or_error(repr, element)  # repr may be user code, too
        return (text if isinstance(text, str) else object.__repr__(element)).encode("utf-8", "backslashreplace")


def _rejection_id(raw: bytes, source: Source | None, *rejected_by: str | None) -> str:
    """Depends on the record, its source and what rejected it, so that a retried bundle and another run give the same.

    The message is not a part of it: it may hold a time.
    """
    position = None if source is None else attrs.astuple(source)
    digest = hashlib.sha256(repr((position, *rejected_by)).encode("utf-8", "backslashreplace"))
    digest.update(b"\n")
    digest.update(raw)
    return digest.hexdigest()[:32]


def _replayed_id(replay_of: str) -> str:
    """One id for every rejection of a replay, so that replaying twice never makes two rejections of one."""
    return hashlib.sha256(b"replay of\0" + replay_of.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def to_document(rejected: Rejected) -> dict[str, Any]:
    """The JSON form. The content is text if the original bytes are UTF-8, otherwise base64."""
    document = _without_record(rejected)
    try:
        record = {"payload_kind": rejected.payload_kind, "encoding": "utf-8", "content": rejected.raw.decode()}
    except UnicodeDecodeError:
        content = base64.b64encode(rejected.raw).decode()
        record = {"payload_kind": rejected.payload_kind, "encoding": "base64", "content": content}
    document["record"] = record
    return document


def to_line(rejected: Rejected) -> Iterator[bytes]:
    """Encodes what `to_document` returns, without the line end; a large record comes in chunks.

    As one `str` it would take four bytes a character as soon as it holds one outside the Basic Multilingual Plane,
    and its JSON would be in memory beside it.
    """
    if len(rejected.raw) <= _CHUNK_BYTES:
        yield json_codec.encode(to_document(rejected))
        return
    encoding = "utf-8" if _is_utf8(rejected.raw) else "base64"
    record = json_codec.encode({"payload_kind": rejected.payload_kind, "encoding": encoding, "content": ""})
    yield json_codec.encode(_without_record(rejected))[:-1] + b',"record":' + record[:-2]
    if encoding == "utf-8":
        for text in _decode_chunks(rejected.raw):
            yield json_codec.encode(text)[1:-1]
    else:
        for start in range(0, len(rejected.raw), _CHUNK_BYTES):
            yield base64.b64encode(rejected.raw[start : start + _CHUNK_BYTES])
    yield b'"}}'


def _without_record(rejected: Rejected) -> dict[str, Any]:
    omitted = ("raw", "payload_kind", "rejected_at")
    document = attrs.asdict(rejected, filter=lambda attribute, _: attribute.name not in omitted)
    document["rejected_at"] = rejected.rejected_at.isoformat()
    document["violations"] = list(document["violations"])
    return document


def _decode_chunks(raw: bytes) -> Iterator[str]:
    """Decodes UTF-8 chunk by chunk; a character is never cut in two."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(raw), _CHUNK_BYTES):
        yield decoder.decode(raw[start : start + _CHUNK_BYTES], final=start + _CHUNK_BYTES >= len(raw))


def _is_utf8(raw: bytes) -> bool:
    try:
        for _ in _decode_chunks(raw):
            pass
    except UnicodeDecodeError:
        return False
    return True


def from_document(document: dict[str, Any]) -> Rejected:
    """Reads the JSON form; `from_document(to_document(r)) == r`."""
    fields = dict(document)
    record = fields.pop("record")
    content: str = record["content"]
    fields["payload_kind"] = record.get("payload_kind") or record["holds"]  # its first name
    fields["raw"] = base64.b64decode(content, validate=True) if record["encoding"] == "base64" else content.encode()
    fields["rejected_at"] = datetime.fromisoformat(fields["rejected_at"])
    fields["violations"] = tuple(Violation(**violation) for violation in fields["violations"])
    fields["source"] = Source(**fields["source"]) if fields["source"] else None
    fields["schema"] = SchemaRef(**fields["schema"]) if fields["schema"] else None
    return Rejected(**fields)
