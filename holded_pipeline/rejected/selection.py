"""Which rejections of a dead-letter store a user selects."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import attrs

from holded_pipeline.model.stages import suggest_stage
from holded_pipeline.rejected.dead_letter_store import RejectionSummary, store_prefix
from holded_pipeline.store.object_names import day_of

_DAY_FOLDER = re.compile(r"stage=[^/]*/date=(\d{4}-\d{2}-\d{2})/")  # where WriteRejected puts its objects


def _convert_names(value: Any) -> frozenset[str] | None:
    if value is None:
        return None
    names = frozenset([value] if isinstance(value, str) or not isinstance(value, Collection) else value)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a filter takes a text or a collection of texts, got {value!r}")
    return names


def _convert_time(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"since and until take a datetime with a time zone, got {value!r}; e.g. tzinfo=UTC")
    return value.astimezone(UTC)


@attrs.frozen
class Selection:
    """Filters over rejections; None means any.

    Attributes:
        stage: at which it was rejected.
        reason: the reason code.
        subject: of the schema it was checked against.
        event_type: the type of the event it became.
        since: rejected then or later.
        until: rejected before then.
    """

    stage: Collection[str] | None = attrs.field(default=None, converter=_convert_names)
    reason: Collection[str] | None = attrs.field(default=None, converter=_convert_names)
    subject: Collection[str] | None = attrs.field(default=None, converter=_convert_names)
    event_type: Collection[str] | None = attrs.field(default=None, converter=_convert_names)
    since: datetime | None = attrs.field(default=None, converter=_convert_time)
    until: datetime | None = attrs.field(default=None, converter=_convert_time)

    def __attrs_post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            raise ValueError(f"since must be before until, got {self.since} and {self.until}")
        for stage in self.stage or ():
            if (meant := suggest_stage(stage)) is not None:
                raise ValueError(f"no record is rejected at the stage {stage!r}: did you mean {meant!r}?")

    def matches(self, summary: RejectionSummary) -> bool:
        """Whether a rejection passes all filters."""
        subject = summary.schema.subject if summary.schema else None
        wanted = (
            (self.stage, summary.stage),
            (self.reason, summary.reason),
            (self.subject, subject),
            (self.event_type, summary.event_type),
        )
        return (
            all(names is None or value in names for names, value in wanted)
            and (self.since is None or summary.rejected_at >= self.since)
            and (self.until is None or summary.rejected_at < self.until)
        )

    def needs_object(self, prefix: str, key: str) -> bool:
        """Whether an object has to be read: what was rejected before `since` neither matches nor replays a match.

        Only the folders directly below the prefix say when: a date in the prefix, or deeper, means something else.
        """
        day = _DAY_FOLDER.match(key.removeprefix(store_prefix(prefix)))
        return self.since is None or day is None or day[1] >= day_of(self.since)
