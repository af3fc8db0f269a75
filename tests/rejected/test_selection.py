"""Which rejections a selection matches, and which objects it needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from holded_pipeline.rejected.dead_letter_store import PayloadSummary, RejectionSummary, SchemaSummary, store_prefix
from holded_pipeline.rejected.selection import Selection

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SUMMARY = RejectionSummary(
    id="0" * 32,
    stage="validate",
    reason="schema_violation",
    rejected_at=DAY,
    attempts=1,
    replay_of=None,
    event_type="A",
    schema=SchemaSummary("s"),
    source=None,
    record=PayloadSummary("record", "utf-8"),
)


@pytest.mark.parametrize("field", ["stage", "reason", "event_type"])
def test_a_filter_is_a_text_or_several_of_which_one_must_be_equal(field):
    value = getattr(SUMMARY, field)
    assert Selection(**{field: value}).matches(SUMMARY)
    assert Selection(**{field: {value, "more"}}).matches(SUMMARY)
    assert not Selection(**{field: ["more"]}).matches(SUMMARY)


def test_the_subject_is_that_of_the_schema():
    assert Selection(subject="s").matches(SUMMARY)
    assert not Selection(subject="s").matches(msgspec.structs.replace(SUMMARY, schema=None))


def test_all_filters_must_match():
    assert not Selection(stage="validate", reason="other").matches(SUMMARY)


def test_since_is_inclusive_and_until_is_exclusive():
    assert Selection(since=DAY, until=DAY + timedelta(microseconds=1)).matches(SUMMARY)
    assert not Selection(until=DAY).matches(SUMMARY)
    assert not Selection(since=DAY + timedelta(microseconds=1)).matches(SUMMARY)


def test_only_objects_of_earlier_days_are_not_needed():
    selection = Selection(since=DAY + timedelta(hours=5))
    days = {"2026-02-28": False, "2026-03-01": True, "2026-03-02": True}
    for prefix in (
        "rejected/",
        "/rejected",
        "x/date=2026-01-01/",
        "x/stage=read/date=2026-01-01/y",
        "date=2026-01-01/",
    ):
        below = store_prefix(prefix)
        found = {day: selection.needs_object(prefix, f"{below}stage=read/date={day}/x.jsonl.gz") for day in days}
        assert found == days
        assert selection.needs_object(prefix, f"{below}_settled/x.jsonl.gz")
    assert Selection(until=DAY).needs_object("rejected/", "rejected/stage=read/date=2026-03-09/x.jsonl.gz")


def test_a_date_in_the_prefix_or_long_ago_excludes_no_object():
    prefix = "old/date=2026-01-01/rejected/"
    key = f"{prefix}stage=read/date=2026-03-01/x.jsonl.gz"
    assert Selection(since=DAY).needs_object(prefix, key)
    assert not Selection(since=DAY + timedelta(days=1)).needs_object(prefix, key)
    assert Selection(since=DAY.replace(year=999)).needs_object(prefix, key)


def test_a_misspelt_stage_raises_and_a_stage_of_the_user_is_accepted():
    with pytest.raises(ValueError, match="did you mean 'validate'"):
        Selection(stage=["read", "valdate"])
    assert Selection(stage=["collect", "deduplicate"]).stage == {"collect", "deduplicate"}
