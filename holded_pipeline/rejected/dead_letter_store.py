"""The rejected pile: which rejections in it are open, which a user means, and which can be replayed.

The pile only grows. A rejection is open unless another one says that it replays it (`replay_of`), or a settlement
says that what it gave back was stored. Both are found by ids alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import attrs
import msgspec

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.stages import suggest_stage
from holded_pipeline.model.values import PayloadKind, Rejected
from holded_pipeline.rejected import rejections
from holded_pipeline.store.object_names import day_of, join_key

SETTLED = "_settled"
"""The folder below the pile's prefix that holds settlements; no stage has this name, for theirs begin with `stage=`."""

_DATE = re.compile(r"stage=[^/]*/date=(\d{4}-\d{2}-\d{2})/")  # the folders in which WriteRejected files
_REPLAYABLE = ("record", "event", "element")


class SchemaSummary(msgspec.Struct):
    """The part of a rejection's schema that filters look at."""

    subject: str


class SourceSummary(msgspec.Struct):
    """A source; nothing looks at it, but it must be one."""

    bucket: str
    key: str
    etag: str
    line: int
    item: int | None


class PayloadSummary(msgspec.Struct):
    """What a record is, without its content."""

    encoding: Literal["utf-8", "base64"]
    payload_kind: PayloadKind | None = None
    holds: PayloadKind | None = None  # the first name of `payload_kind`

    def __post_init__(self) -> None:
        if (self.payload_kind or self.holds) is None:
            raise ValueError("a record says its payload_kind")


class RejectionSummary(msgspec.Struct):
    """What has to be known of a rejection to decide about it: everything but the content of its record."""

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    stage: str
    reason: str
    rejected_at: datetime
    attempts: Annotated[int, msgspec.Meta(ge=1)]
    replay_of: str | None
    event_type: str | None
    schema: SchemaSummary | None
    source: SourceSummary | None
    record: PayloadSummary


class Resolution(msgspec.Struct):
    """One line of a settlement: a rejection that was given back, and what became of it was stored."""

    id: str
    run_id: str
    settled_at: datetime


class Outline(msgspec.Struct):
    """What makes a line a rejection at all, whatever its members hold."""

    id: Any
    stage: Any
    reason: Any
    record: Any


class BrokenRejectionError(Exception):
    """A rejection that breaks its schema: nobody can tell what it says, and it says nothing about the others."""


_outline = msgspec.json.Decoder(Outline)
_note = msgspec.json.Decoder(RejectionSummary)
_settlement = msgspec.json.Decoder(Resolution)


def _names(value: Any) -> frozenset[str] | None:
    if value is None:
        return None
    names = frozenset([value] if isinstance(value, str) or not isinstance(value, Collection) else value)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a filter takes a text or a collection of texts, got {value!r}")
    return names


def _moment(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"since and until take a datetime with a time zone, got {value!r}; e.g. tzinfo=UTC")
    return value.astimezone(UTC)


@attrs.frozen
class Selection:
    """Which rejections are meant; None means any.

    Attributes:
        stage: where it was refused.
        reason: its code.
        subject: of the schema it was checked against.
        event_type: the type of the event it became.
        since: refused then or later.
        until: refused before then.
    """

    stage: Collection[str] | None = attrs.field(default=None, converter=_names)
    reason: Collection[str] | None = attrs.field(default=None, converter=_names)
    subject: Collection[str] | None = attrs.field(default=None, converter=_names)
    event_type: Collection[str] | None = attrs.field(default=None, converter=_names)
    since: datetime | None = attrs.field(default=None, converter=_moment)
    until: datetime | None = attrs.field(default=None, converter=_moment)

    def __attrs_post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            raise ValueError(f"since must be before until, got {self.since} and {self.until}")
        for stage in self.stage or ():
            if (meant := suggest_stage(stage)) is not None:
                raise ValueError(f"no record is refused at the stage {stage!r}: did you mean {meant!r}?")

    def matches(self, note: RejectionSummary) -> bool:
        """Whether this rejection is meant."""
        subject = note.schema.subject if note.schema else None
        wanted = (
            (self.stage, note.stage),
            (self.reason, note.reason),
            (self.subject, subject),
            (self.event_type, note.event_type),
        )
        return (
            all(names is None or value in names for names, value in wanted)
            and (self.since is None or note.rejected_at >= self.since)
            and (self.until is None or note.rejected_at < self.until)
        )

    def may_hold(self, prefix: str, key: str) -> bool:
        """Whether an object can matter: what was refused before `since` is neither meant nor replays what is.

        Only the key's part below the pile's prefix tells a day: dates in the prefix, or deeper, are of other things.
        """
        day = _DATE.match(key.removeprefix(store_prefix(prefix)))
        return self.since is None or day is None or day[1] >= day_of(self.since)


def store_prefix(prefix: str) -> str:
    """What the keys of a pile begin with, however the prefix was written."""
    folder = join_key(prefix, "", "")
    return f"{folder}/" if folder else ""


def is_resolution(prefix: str, key: str) -> bool:
    """Whether an object of the pile is a settlement."""
    return key.startswith(f"{store_prefix(prefix)}{SETTLED}/")


def read_summary(line: bytes, place: str) -> RejectionSummary:
    """What a line of the pile says, without its record.

    Raises:
        BrokenRejectionError: it is a rejected record that breaks its schema.
        ConfigurationError: it is no rejected record.
    """
    try:
        return _note.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _broken(line, place, error) from error


def read_resolution(line: bytes, place: str) -> str:
    """The id that a line of a settlement settles.

    Raises:
        ConfigurationError: it is no settlement.
    """
    try:
        return _settlement.decode(line).id
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _damaged(place, error) from error


def read_rejected(line: bytes, place: str) -> Rejected:
    """The rejected record of a line of the pile.

    Raises:
        BrokenRejectionError: it breaks its schema.
        ConfigurationError: it is none.
    """
    try:
        return rejections.from_document(json_codec.decode_own(line))
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _broken(line, place, error) from error


def _broken(line: bytes, place: str, error: Exception) -> Exception:
    try:
        _outline.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _damaged(place, error)
    return BrokenRejectionError(
        f"{place} is a rejection that breaks rejected.schema.json: {error}; it stays in the pile as it is. "
        "Mend the line, or move it out of the prefix"
    )


def _damaged(place: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{place} is not what WriteRejected or SettleRejected writes: {error}; "
        "nothing was replayed. Move the object out of the prefix, or restore it"
    )


def replayable(rejected: Rejected, max_attempts: int) -> bool:
    """Whether it can be tried once more: its whole record is here, and it was not tried too often."""
    return rejected.payload_kind in _REPLAYABLE and rejected.attempts < max_attempts
