"""From a framed record to an event."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import attrs

from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import Position, ReadObject
from holded_pipeline.model.carrying import carry, carry_copies
from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.model.json_numbers import FEW_BYTES, MAX_STORED_GROWTH, doubles_may_grow
from holded_pipeline.model.timestamp_rules import ANY_TIMESTAMPS, DEFAULT_TIMESTAMPS, Timestamps
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.common_records import read_common_record
from holded_pipeline.reading.envelopes import ENVELOPES, STORED_LEVELS, Envelope, holded, stored_event
from holded_pipeline.reading.fitting_envelope import ENVELOPE_REASONS, FirstRecords, fitting_envelope
from holded_pipeline.reading.framed_records import KEEP_BYTES, Lines, Record
from holded_pipeline.reading.records_path import OuterReader, RecordsPath, takes_outer
from holded_pipeline.user_code.errors import name_of, pipeline_error_for, result_or_error


class RecordReader:
    """Turns records into events: decodes the JSON without loss, then calls the envelope.

    Args:
        envelope: how a document becomes an event.
        max_record_bytes: larger records are rejected.
        max_depth: more deeply nested records are rejected.
        timestamps: how timestamps are read, and which are accepted; without it the envelope `event` accepts any.
        records: where the records are inside documents.

    Both limits are for what producers send. A stored event is larger and deeper than the record it was read from, and
    must always be read back: with the envelope `event` the limits grow by what the stored form may add.
    """

    def __init__(
        self,
        envelope: Envelope,
        *,
        max_record_bytes: int,
        max_depth: int,
        timestamps: Timestamps | None = None,
        records: RecordsPath | None = None,
    ) -> None:
        self._envelope: Callable[..., Event] = envelope
        self._outer_of = OuterReader(records, max_record_bytes, max_depth) if takes_outer(envelope) else None
        self._is_builtin = any(envelope is known for known in ENVELOPES.values())
        is_stored = envelope is stored_event
        self._has_common_messages = envelope is holded
        self._timestamps = timestamps or (ANY_TIMESTAMPS if is_stored else DEFAULT_TIMESTAMPS)
        self._max_record_bytes = max(max_record_bytes, KEEP_BYTES) if is_stored else max_record_bytes
        if not 1 <= max_depth <= json_codec.DEEPEST:
            raise ValueError(f"max_depth must be from 1 to {json_codec.DEEPEST}, got {max_depth}")
        self._few_bytes = min(FEW_BYTES, self._max_record_bytes)
        self._max_growth = MAX_STORED_GROWTH if is_stored else None
        self._max_depth = max_depth + STORED_LEVELS if is_stored else max_depth

    @property
    def takes_outer(self) -> bool:
        """Whether the envelope is given what stands around a record in its document."""
        return self._outer_of is not None

    @property
    def calls_user_code(self) -> bool:
        """Whether the envelope is not built in."""
        return not self._is_builtin

    def first_records(self) -> FirstRecords:
        """What finds out whether another envelope would read the first records."""
        return FirstRecords(self._envelope)

    def advise(self, fault: RejectRecord, record: Record) -> str:
        """Which other envelope reads a record that this one rejected, as the end of a message."""
        fitting = fitting_envelope(self._envelope, [record.raw]) if fault.reason in ENVELOPE_REASONS else None
        return f'; envelope="{fitting}" reads it' if fitting else ""

    def at(self, now: datetime) -> Self:
        """The same reader, with `Timestamps.max_ahead` counted from `now`."""
        reader = copy.copy(self)
        reader._timestamps = self._timestamps.at(now)  # noqa: SLF001  its own
        return reader

    def read_common(self, record: Record, position: Position, package_ids: PackageIds) -> Event | None:
        """Returns the event of a record that is read quickly; None if `read` has to read it."""
        if not self._has_common_messages or record.fault is not None or not self._may_be_common(record.raw):
            return None
        return read_common_record(record.raw, position, package_ids, self._max_depth, self._timestamps)

    def read_common_lines(
        self, lines: Lines, read_object: ReadObject, package_ids: PackageIds
    ) -> Sequence[Event | None]:
        """Returns the event of each line that is read quickly, and None for those that `read` has to read."""
        if not self._has_common_messages:
            return [None] * len(lines.raws)
        max_depth, timestamps, few_bytes = self._max_depth, self._timestamps, self._few_bytes
        return [
            read_common_record(raw, (read_object, number, None), package_ids, max_depth, timestamps)
            if len(raw) <= few_bytes or self._may_be_common(raw)
            else None
            for number, raw in enumerate(lines.raws, lines.first_line)
        ]

    def _may_be_common(self, raw: bytes) -> bool:
        """Whether a record is not too large, nor has so many exponents that its numbers may grow too much."""
        return len(raw) <= self._max_record_bytes and not doubles_may_grow(raw)

    def read(self, record: Record, source: Source, read_object: ReadObject | None = None) -> Event:
        """Returns the event, with the record's bytes and source.

        Args:
            record: the record.
            source: where it was read.
            read_object: the object that the source names, if all of its records are read.

        Raises:
            RejectRecord: the record is not JSON, is too large or too deep, or does not fit the envelope.
        """
        if record.fault is not None:
            raise record.fault
        if not record.raw:
            raise RejectRecord("invalid_json", "not JSON: an element of the array is empty; remove its comma")
        if len(record.raw) > self._max_record_bytes:
            raise RejectRecord(
                "record_too_large",
                f"the record has {len(record.raw):,} bytes and {self._max_record_bytes:,} are accepted; "
                "send less, or raise max_record_bytes",
            )
        document = json_codec.decode(record.raw, max_depth=self._max_depth, max_growth=self._max_growth)
        if self._is_builtin:
            event = self._envelope(document, source, timestamps=self._timestamps)
        else:
            event = self._call_user_envelope(document, source, record)
        event = attrs.evolve(event, raw=record.raw, source=event.source or source)
        position: Position | None = None
        if read_object is not None and (event.source is source or event.source == source):
            position = (read_object, source.line, source.item)
        return carry(event, position) if self._is_builtin else self._carry_checked(event, position)

    def _call_user_envelope(self, document: Any, source: Source, record: Record) -> Event:
        """Returns the event that user code makes of a document, checked."""
        name = describe_envelope(self._envelope)
        more = {} if self._outer_of is None else {"outer": self._outer_of(record)}
        event = result_or_error(lambda document: self._envelope(document, source, **more), document)
        if isinstance(event, BaseException):
            raise pipeline_error_for("envelope_error", event, name, "could not read the document") from event
        if not isinstance(event, Event):
            raise ConfigurationError(
                f"{name} returned {type(event).__name__}; it must return an Event, or raise "
                "hp.RejectRecord for a document that is not an event"
            )
        self._reject_if(_find_field_problem(event))
        problem = self._timestamps.find_problem(event.occurred_at)
        if problem is not None:
            raise RejectRecord("implausible_timestamp", f"{name} returned an Event whose occurred_at {problem}")
        return event

    def _carry_checked(self, event: Event, position: Position | None) -> Event:
        """The event with copies of what user code made, which may go on to use what it returned."""
        carried = carry_copies(event, position)
        if carried is None:
            self._reject_if(_find_json_problem(event))
        return carried or event

    def _reject_if(self, problem: str | None) -> None:
        if problem is not None:
            name = describe_envelope(self._envelope)
            raise RejectRecord("envelope_error", f"{name} returned an Event whose {problem}")


def describe_envelope(envelope: str | Envelope) -> str:
    """What messages call an envelope: the name it is registered under, or the name of its function or class."""
    if isinstance(envelope, str):
        return f"the envelope {envelope!r}"
    return f"the envelope {name_of(envelope)}"


def find_event_problem(event: Event) -> str | None:
    """The first thing wrong with an event that user code made, e.g. `id is int; it must be text`; None if valid."""
    return _find_field_problem(event) or _find_json_problem(event)


def _find_field_problem(event: Event) -> str | None:
    for name, kinds, wanted in (
        ("id", str, "must be text, e.g. str(…)"),
        ("type", str, "must be text, e.g. str(…)"),
        ("company_id", str, "must be text, e.g. str(…)"),
        ("user_id", str | None, "must be text, e.g. str(…)"),
        ("data", Mapping, "must be a mapping"),
        ("metadata", Mapping, "must be a mapping"),
        ("source", Source | None, "may be omitted, or be the one that was given"),
    ):
        value = getattr(event, name)
        if not isinstance(value, kinds):
            return f"{name} is {type(value).__name__}; it {wanted}"
    if not event.id:
        return "id is empty; each event needs its own id"
    if (event.attempts, event.replay_of) != (1, None):
        return "attempts or replay_of is set; only the pipeline sets them"
    return None


def _find_json_problem(event: Event) -> str | None:
    for name in ("id", "type", "company_id", "user_id", "data", "metadata"):
        value = getattr(event, name)
        try:
            json_codec.check_json_value(dict(value) if isinstance(value, Mapping) else value)
        except TypeError as error:
            return f"{name} is not JSON: {error}"
    return None
