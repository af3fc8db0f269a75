"""The values that flow through a pipeline: what they hold, never how they travel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import attrs

PayloadKind = Literal["record", "part", "object", "nothing", "event", "element"]
"""What the bytes of a rejected record are; see `Rejected.holds`."""


class Outcome(NamedTuple):
    """What every transform that can refuse an element returns.

    Attributes:
        passed: PCollection of what went through; its element type is the transform's.
        rejected: PCollection of `Rejected`.
    """

    passed: Any
    rejected: Any


@attrs.frozen
class Source:
    """Where a record stands in the store.

    Attributes:
        bucket: the bucket.
        key: the object's key.
        etag: the version of the object that was read.
        line: 1-based line, counted in the decompressed text, on which the record begins; for an element of an
            array the line on which the array begins, so that (bucket, key, etag, line) names one package.
        item: 1-based place in the array, for a record that is an element of one.
    """

    bucket: str
    key: str
    etag: str
    line: int
    item: int | None = None

    def __str__(self) -> str:
        place = f"{self.bucket}/{self.key}:{self.line}"
        return place if self.item is None else f"{place}[{self.item}]"


def _as_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"occurred_at must carry a time zone, got {value!r}; add one, e.g. tzinfo=UTC")
    return value.astimezone(UTC)


@attrs.frozen
class Event:
    """One business event.

    Attributes:
        id: the event's key: the same event has the same id however often it is sent.
        type: what happened, in the producer's words.
        company_id: whom it concerns.
        occurred_at: when it happened; aware, kept in UTC, to the microsecond.
        data: the document as the producer sent it, a JSON object; this is what a schema validates. Numbers are
            `int` (any size), `float` where that is exact, else `Decimal`.
        user_id: who did it, if known.
        metadata: what the pipeline learned, a JSON object; enrichers' results stand under their names.
        source: where the record was read, if it was read from a store.
        raw: the record's bytes as they were read, so that it can be rejected without loss at any stage.
        attempts: how often this record was tried, this time included; more than 1 only in a replay.
        replay_of: id of the rejection that this event is a replay of.
    """

    id: str
    type: str
    company_id: str
    occurred_at: datetime = attrs.field(converter=_as_utc)
    data: Mapping[str, Any]
    user_id: str | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    source: Source | None = None
    raw: bytes = attrs.field(default=b"", repr=False)
    attempts: int = 1
    replay_of: str | None = None

    def with_metadata(self, **entries: Any) -> Event:
        """The same event with these entries added to its metadata; an entry of the same name is replaced."""
        return attrs.evolve(self, metadata={**self.metadata, **entries})


@attrs.frozen
class Violation:
    """One way in which a document breaks its schema.

    Attributes:
        pointer: JSON Pointer (RFC 6901) of the offending value; empty for the whole document.
        keyword: the schema keyword that refuses it, e.g. `required`.
        message: what is wrong, for a person.
    """

    pointer: str
    keyword: str
    message: str


@attrs.frozen
class SchemaRef:
    """The schema a document was checked against. `id` is a registry's; a directory or a mapping has none."""

    subject: str
    version: int | None = None
    id: int | None = None


@attrs.frozen
class Rejected:
    """One refused record, with all it takes to understand it and to send it again.

    Attributes:
        id: key of this rejection; the same record refused by the same step for the same reason in the same run has
            the same one, and so has whatever a replay of one rejection is refused for, in any run.
        stage: where it was refused: `read`, `validate`, `enrich`, `write`, or a name of your own.
        reason: a stable code, see the reference of reasons.
        message: what is wrong, for a person.
        raw: the record's bytes exactly as they were read, unless `payload_kind` says otherwise.
        rejected_at: when; aware UTC.
        run_id: the run that refused it.
        source: where the record stands.
        violations: every single fault found.
        schema: the schema it was checked against, if it came that far.
        event_id: the id of the event, if it came that far.
        event_type: the type of the event, if it came that far.
        attempts: how often this record was tried, this time included.
        replay_of: id of the rejection that this one is a replay of.
        holds: what `raw` is: the whole `record`; the first `part` of one that is too large to keep; a damaged
            compressed `object` (or its first part) that counts as one record; `nothing`, since the object
            vanished; the JSON form of an `event` that code made; or that of an `element` of another kind.
    """

    id: str
    stage: str
    reason: str
    message: str
    raw: bytes = attrs.field(repr=False)
    rejected_at: datetime = attrs.field(converter=_as_utc)
    run_id: str
    source: Source | None = None
    violations: tuple[Violation, ...] = ()
    schema: SchemaRef | None = None
    event_id: str | None = None
    event_type: str | None = None
    attempts: int = 1
    replay_of: str | None = None
    payload_kind: PayloadKind = "record"
