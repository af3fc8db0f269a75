"""Messages of one package that have one id: the same event again is a duplicate, another content is a conflict."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs

from holded_pipeline.api.collecting.package_parsing import Message
from holded_pipeline.model import json_codec
from holded_pipeline.model.canonical_json import encode_canonical
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.json_differences import differences
from holded_pipeline.model.values import Event, Source, Violation
from holded_pipeline.reading.envelopes import holded

CONFLICT = "id_conflict"
_COMPARED_BYTES = 1 << 16  # of larger messages it is only said that they differ


@attrs.define
class _Known:
    """An accepted message, with the digests of its value and its content once they are needed."""

    index: int
    raw: bytes
    digests: tuple[bytes, bytes | None] | None = None


class RepeatedIds:
    """The message ids of one package. A message whose id is new costs one look-up.

    The first accepted message of an id counts. A later one is a duplicate if it is the same JSON value, and in
    conflict with the first if the pipeline would find another content: type, company, user, time or data. One that
    differs elsewhere, for example in a header of the transport, is neither.

    A repeated id costs time in proportion to its own message, however large the first message is: digests are compared.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def add(self, message: Message) -> None:
        """Adds a message that is accepted."""
        if message.event_id is not None and message.event_id not in self._known:
            self._known[message.event_id] = _Known(message.index, message.raw)

    def check(self, message: Message) -> int | None:
        """The index of the accepted message that this one repeats; None for one that does not.

        Raises:
            RejectRecord: `id_conflict`; a message with its id is accepted, and has another content.
        """
        known = None if message.event_id is None else self._known.get(message.event_id)
        if known is None:
            return None
        if message.raw == known.raw:
            return known.index
        if known.digests is None:
            known.digests = _digests(json_codec.decode(known.raw))
        whole, content = _digests(message.document)
        if whole == known.digests[0]:
            return known.index
        if content is None or content != known.digests[1]:
            raise _conflict(message, known)
        return None


def _digests(document: Any) -> tuple[bytes, bytes | None]:
    """The digest of the whole value, and that of the content, if the pipeline can read it."""
    content = _content_of(document)
    return _value_digest(document), None if content is None else _value_digest(content)


def _value_digest(value: Any) -> bytes:
    return hashlib.sha256(encode_canonical(value)).digest()


def _conflict(message: Message, known: _Known) -> RejectRecord:
    violations = [Violation("", CONFLICT, f"another content than event {known.index}")]
    if max(len(known.raw), len(message.raw)) <= _COMPARED_BYTES:
        found = differences(*_contents(message.document, json_codec.decode(known.raw)))
        violations = [
            Violation(each.pointer, CONFLICT, f"{each.one} here, {each.other} in event {known.index}") for each in found
        ]
    where = "; ".join(f"{each.pointer or 'the document'}: {each.message}" for each in violations)
    return RejectRecord(
        CONFLICT,
        f"event {message.index} has the message id of event {known.index} of this package and another content "
        f"({where}). Event {known.index} is accepted, and event {message.index} is kept as a rejected record; give "
        "each event an id of its own",
        violations,
    )


def _contents(one: Any, other: Any) -> tuple[Any, Any]:
    """What the pipeline compares of two messages; all of them if it cannot read both."""
    contents = tuple(map(_content_of, (one, other)))
    return (one, other) if None in contents else (contents[0], contents[1])


def _content_of(document: Any) -> dict[str, Any] | None:
    try:
        event: Event = holded({"event_id": "unused", "event": document}, Source("", "", "", 1))
    except RejectRecord:
        return None
    return {
        "event_type": event.type,
        "company_id": event.company_id,
        "user_id": event.user_id,
        "occurred_at": event.occurred_at.isoformat(),
        "data": event.data,
    }
