"""The dead-letter store: the objects below a prefix, which `WriteRejected` and `SettleRejected` write.

It only grows. A rejection is open unless another rejection replays it (`replay_of`), or a resolution says that what
was made of it is stored. Both are found by id alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import PayloadKind, Rejected
from holded_pipeline.rejected import rejections
from holded_pipeline.store.object_names import join_key

SETTLED = "_settled"
"""The folder below the prefix that holds resolutions; those of rejections begin with `stage=`."""

_REPLAYABLE = ("record", "event", "element")


class SchemaSummary(msgspec.Struct):
    """What filters need to know of a rejection's schema."""

    subject: str


class SourceSummary(msgspec.Struct):
    """A source; it is only checked."""

    bucket: str
    key: str
    etag: str
    line: int
    item: int | None


class PayloadSummary(msgspec.Struct):
    """A record without its content."""

    encoding: Literal["utf-8", "base64"]
    payload_kind: PayloadKind | None = None
    holds: PayloadKind | None = None  # the first name of `payload_kind`

    def __post_init__(self) -> None:
        if (self.payload_kind or self.holds) is None:
            raise ValueError("the record has no payload_kind")


class RejectionSummary(msgspec.Struct):
    """What decides whether a rejection is replayed: its fields without the content of its record."""

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
    """One line below `_settled/`: a rejection that was replayed, and what was made of it is stored."""

    id: str
    run_id: str
    settled_at: datetime


class _RejectionMembers(msgspec.Struct):
    """The members by which a line is recognised as a rejection, whatever they hold."""

    id: Any
    stage: Any
    reason: Any
    record: Any


class BrokenRejectionError(Exception):
    """A rejection that breaks its schema: it cannot be replayed, and the others can."""


_members_decoder = msgspec.json.Decoder(_RejectionMembers)
_summary_decoder = msgspec.json.Decoder(RejectionSummary)
_resolution_decoder = msgspec.json.Decoder(Resolution)


def store_prefix(prefix: str) -> str:
    """The prefix of all keys of a dead-letter store, however the user wrote it: `rejected` is `rejected/`."""
    folder = join_key(prefix, "", "")
    return f"{folder}/" if folder else ""


def is_resolution(prefix: str, key: str) -> bool:
    """Whether an object of the store holds resolutions."""
    return key.startswith(f"{store_prefix(prefix)}{SETTLED}/")


def read_summary(line: bytes, position: str) -> RejectionSummary:
    """Reads a rejection without its record.

    Raises:
        BrokenRejectionError: the line is a rejection that breaks its schema.
        ConfigurationError: the line is not a rejection.
    """
    try:
        return _summary_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _line_error(line, position, error) from error


def read_resolution(line: bytes, position: str) -> str:
    """Reads the id of a rejection that is resolved.

    Raises:
        ConfigurationError: the line is not a resolution.
    """
    try:
        return _resolution_decoder.decode(line).id
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _not_ours(position, error) from error


def read_rejected(line: bytes, position: str) -> Rejected:
    """Reads a rejection in full.

    Raises:
        BrokenRejectionError: the line is a rejection that breaks its schema.
        ConfigurationError: the line is not a rejection.
    """
    try:
        return rejections.from_document(json_codec.decode_own(line))
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _line_error(line, position, error) from error


def _line_error(line: bytes, position: str, error: Exception) -> Exception:
    try:
        _members_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _not_ours(position, error)
    return BrokenRejectionError(
        f"{position} is a rejection that breaks rejected.schema.json: {error}; it stays in the store as it is. "
        "Fix the line, or move it out of the prefix"
    )


def _not_ours(position: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{position} is not what WriteRejected or SettleRejected writes: {error}; "
        "nothing was replayed. Move the object out of the prefix, or restore it"
    )


def is_replayable(rejected: Rejected, max_attempts: int) -> bool:
    """Whether a rejection can be replayed: it holds the whole record, and was not tried too often."""
    return rejected.payload_kind in _REPLAYABLE and rejected.attempts < max_attempts
