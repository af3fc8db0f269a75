"""The values that flow through a pipeline; their encoding is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import attrs

from holded_pipeline.model.html_tables import html_fields, html_table

PayloadKind = Literal["record", "part", "object", "nothing", "event", "element"]
"""What the bytes of a rejected record are; see `Rejected.payload_kind`."""


class Outcome(NamedTuple):
    """What every transform that can reject an element returns.

    Attributes:
        passed: PCollection of what passed; its element type is the transform's.
        rejected: PCollection of `Rejected`.
    """

    passed: Any
    rejected: Any

    def _repr_html_(self) -> str:
        rows = [
            (".passed", self.passed, "pass it to the next transform"),
            (".rejected", self.rejected, "write it with hp.WriteRejected"),
        ]
        return html_table(
            rows, caption="Outcome: two collections of a pipeline; hp.run(pipeline) shows counts, hp.events(…) values"
        )


def _missing_attribute(_: Outcome, name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"'Outcome' object has no attribute {name!r}")
    # What a transform of Beam asks for of the one PCollection that it is applied to.
    raise AttributeError(
        f"an Outcome has no {name!r}: it is two PCollections, .passed and .rejected; apply the transform to one of "
        "them: outcome.passed | …"
    )


if not TYPE_CHECKING:  # for a type checker, a misspelt attribute must stay one
    Outcome.__getattr__ = _missing_attribute


@attrs.frozen
class Source:
    """The position of a record in the store.

    Attributes:
        bucket: the bucket.
        key: the object's key.
        etag: the version of the object that was read.
        line: 1-based line, counted in the decompressed text, on which the record begins; for an element of an
            array the line on which the array begins, so that (bucket, key, etag, line) names one package.
        item: 1-based number of the record among those of its line, if it has several or is an element of an array. So
            no two records of an object have one position.
    """

    bucket: str
    key: str
    etag: str
    line: int
    item: int | None = None

    def __str__(self) -> str:
        position = f"{self.bucket}/{self.key}:{self.line}"
        return position if self.item is None else f"{position}[{self.item}]"


def _as_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"occurred_at must carry a time zone, got {value!r}; add one, e.g. tzinfo=UTC")
    return value.astimezone(UTC)


@attrs.frozen(slots=False)
class Event:
    """One business event.

    An event that was read from a store carries its data and metadata as JSON text too (see `carried_text`), and makes
    the fields `data`, `metadata` and `source` when they are first looked at.

    Attributes:
        id: the event's key: the same event has the same id however often it is sent.
        type: what happened, in the producer's words.
        company_id: the company that it concerns.
        occurred_at: when it happened; aware, kept in UTC, to the microsecond.
        data: the document as the producer sent it, a JSON object; this is what a schema validates. Numbers are
            `int` (any size), `float` where that is exact, else `Decimal`.
        user_id: who did it, if known.
        metadata: what the pipeline added, a JSON object; the result of an enricher is under its name.
        source: where the record was read from, if it was read from a store.
        raw: the record's bytes as they were read, so that it can be rejected without loss at any stage.
        attempts: how often this record was processed, this time included; more than 1 only in a replay.
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

    if not TYPE_CHECKING:  # for a type checker, a misspelt attribute must stay one

        def __getattr__(self, name: str) -> Any:
            load = self.__dict__.get("_load")
            if load is None or name not in ("data", "metadata", "source"):
                raise AttributeError(f"'Event' object has no attribute {name!r}")
            value = self.__dict__[name] = load(self, name)
            return value

    def _repr_html_(self) -> str:
        fields = {name: getattr(self, name) for name in _EVENT_FIELDS if name not in ("raw", "attempts")}
        return html_fields(f"Event {self.type}", fields)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what an event carries beside them is made again where it is needed."""
        return {name: getattr(self, name) for name in _EVENT_FIELDS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


_EVENT_FIELDS = tuple(field.name for field in attrs.fields(Event))


@attrs.frozen
class Violation:
    """One fault of a document.

    Attributes:
        pointer: JSON Pointer (RFC 6901) of the offending value; empty for the whole document.
        keyword: the schema keyword that it violates, e.g. `required`.
        message: what is wrong, for a person.
    """

    pointer: str
    keyword: str
    message: str

    def _repr_html_(self) -> str:
        return violations_table((self,))


@attrs.frozen
class SchemaRef:
    """The schema a document was checked against. `id` is a registry's; a directory or a mapping has none."""

    subject: str
    version: int | None = None
    id: int | None = None


@attrs.frozen
class Rejected:
    """One rejected record, with all it takes to understand it and to replay it.

    Attributes:
        id: id of this rejection. The same record, rejected by the same step for the same reason in the same run, has
            the same id. All rejections of replays of one rejection have the same id, in any run.
        stage: where it was rejected: `read`, `validate`, `enrich`, `write`, or a name of your own.
        reason: a stable code, see the reference of reasons.
        message: what is wrong, for a person.
        raw: the record's bytes exactly as they were read, unless `payload_kind` says otherwise.
        rejected_at: when; aware UTC.
        run_id: the run that rejected it.
        source: where the record was read from, if it was read from a store.
        violations: every fault that was found.
        schema: the schema it was checked against, if it was.
        event_id: the id of the event, if the record became one.
        event_type: the type of the event, if the record became one.
        attempts: how often this record was processed, this time included.
        replay_of: id of the rejection that this one is a replay of.
        payload_kind: what `raw` is: the whole `record`; the first `part` of one that is too large to keep; a damaged
            compressed `object` (or its first part) that counts as one record; `nothing`, since the object
            was gone or cannot be read; the JSON form of an `event` that code made; or that of another `element`.
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

    def _repr_html_(self) -> str:
        fields = attrs.asdict(self, recurse=False, filter=lambda field, _: field.name != "violations")
        table = html_fields(f"Rejected by {self.stage}: {self.reason}", fields)
        return table + (violations_table(self.violations) if self.violations else "")


def violations_table(violations: Sequence[Violation]) -> str:
    """Violations as a table in HTML."""
    rows = ((each.pointer or "(the document)", each.keyword, each.message) for each in violations)
    caption = f"Violations ({len(violations):,})" if len(violations) > 1 else "Violation"
    return html_table(rows, header=("where", "keyword", "what is wrong"), caption=caption)
