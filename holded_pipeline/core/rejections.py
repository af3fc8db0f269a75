"""Rejected records: how they are made, and their JSON form (`rejected.schema.json` beside this file)."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Any

import attrs

from holded_pipeline.core import json_codec
from holded_pipeline.core.envelopes import event_document
from holded_pipeline.core.errors import RejectRecord
from holded_pipeline.core.values import Event, Rejected, SchemaRef, Source, Violation


def reject(
    fault: RejectRecord,
    *,
    stage: str,
    raw: bytes,
    run_id: str,
    rejected_at: datetime,
    source: Source | None = None,
    schema: SchemaRef | None = None,
    event: Event | None = None,
) -> Rejected:
    """The rejected record for `fault`. With `event`, its bytes (see `raw_of`), source, id and type are taken over."""
    if event is not None:
        raw, source = raw_of(event), event.source
    return Rejected(
        id=_rejection_id(run_id, stage, fault.reason, raw, source),
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
        return repr(element).encode("utf-8", "backslashreplace")


def _rejection_id(run_id: str, stage: str, reason: str, raw: bytes, source: Source | None) -> str:
    """Depends on the record and its place only, so that a bundle tried again names its rejections alike."""
    digest = hashlib.sha256()
    for part in (run_id, stage, reason, str(source or ""), source.etag if source else ""):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(raw)
    return digest.hexdigest()[:32]


def to_document(rejected: Rejected) -> dict[str, Any]:
    """The JSON form. Original bytes that are UTF-8 stand as text, others as base64."""
    document = attrs.asdict(rejected, filter=lambda attribute, _: attribute.name not in ("raw", "rejected_at"))
    document["rejected_at"] = rejected.rejected_at.isoformat()
    document["violations"] = list(document["violations"])
    try:
        document["record"] = {"encoding": "utf-8", "content": rejected.raw.decode()}
    except UnicodeDecodeError:
        document["record"] = {"encoding": "base64", "content": base64.b64encode(rejected.raw).decode()}
    return document


def from_document(document: dict[str, Any]) -> Rejected:
    """The rejected record of a JSON form; `from_document(to_document(r)) == r`."""
    fields = dict(document)
    record = fields.pop("record")
    content: str = record["content"]
    fields["raw"] = base64.b64decode(content) if record["encoding"] == "base64" else content.encode()
    fields["rejected_at"] = datetime.fromisoformat(fields["rejected_at"])
    fields["violations"] = tuple(Violation(**violation) for violation in fields["violations"])
    fields["source"] = Source(**fields["source"]) if fields["source"] else None
    fields["schema"] = SchemaRef(**fields["schema"]) if fields["schema"] else None
    return Rejected(**fields)
