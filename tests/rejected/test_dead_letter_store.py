"""Which rejections a selection means, and which can be replayed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import PayloadKind, Rejected
from holded_pipeline.rejected.dead_letter_store import (
    PayloadSummary,
    RejectionSummary,
    SchemaSummary,
    Selection,
    is_resolution,
    read_rejected,
    read_resolution,
    read_summary,
    replayable,
    store_prefix,
)

DAY = datetime(2026, 3, 1, tzinfo=UTC)
NOTE = RejectionSummary(
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
def test_a_text_or_one_of_several_must_be_the_same(field):
    value = getattr(NOTE, field)
    assert Selection(**{field: value}).matches(NOTE)
    assert Selection(**{field: {value, "more"}}).matches(NOTE)
    assert not Selection(**{field: ["more"]}).matches(NOTE)


def test_the_subject_is_the_schemas():
    assert Selection(subject="s").matches(NOTE)
    assert not Selection(subject="s").matches(msgspec.structs.replace(NOTE, schema=None))


def test_all_filters_must_hold():
    assert not Selection(stage="validate", reason="other").matches(NOTE)


def test_since_counts_its_moment_and_until_does_not():
    assert Selection(since=DAY, until=DAY + timedelta(microseconds=1)).matches(NOTE)
    assert not Selection(until=DAY).matches(NOTE)
    assert not Selection(since=DAY + timedelta(microseconds=1)).matches(NOTE)


def test_only_earlier_days_are_left_out_of_a_listing():
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
        found = {day: selection.may_hold(prefix, f"{below}stage=read/date={day}/x.jsonl.gz") for day in days}
        assert found == days
        assert selection.may_hold(prefix, f"{below}_settled/x.jsonl.gz")
    assert Selection(until=DAY).may_hold("rejected/", "rejected/stage=read/date=2026-03-09/x.jsonl.gz")


def test_a_date_in_the_prefix_or_long_ago_hides_no_object():
    prefix = "old/date=2026-01-01/rejected/"
    key = f"{prefix}stage=read/date=2026-03-01/x.jsonl.gz"
    assert Selection(since=DAY).may_hold(prefix, key)
    assert not Selection(since=DAY + timedelta(days=1)).may_hold(prefix, key)
    assert Selection(since=DAY.replace(year=999)).may_hold(prefix, key)


@pytest.mark.parametrize("prefix", ["rejected", "rejected/", "/rejected/"])
def test_a_prefix_means_one_folder_however_it_is_written(prefix):
    assert store_prefix(prefix) == "rejected/"
    assert is_resolution(prefix, "rejected/_settled/x.jsonl.gz")
    assert not is_resolution(prefix, "rejected/stage=_settled/date=2026-01-01/x.jsonl.gz")


@pytest.mark.parametrize("read", [read_summary, read_rejected, read_resolution])
@pytest.mark.parametrize("line", [b"{", b"[]", b"{}", b'{"id": 1}', b'{"record": {"content": "x"}}', b"\xff"])
def test_a_line_that_is_something_else_is_named(read, line):
    with pytest.raises(ConfigurationError, match="b/k, line 3, is not what WriteRejected"):
        read(line, "b/k, line 3,")


def test_what_is_not_all_there_is_not_replayed():
    made = {
        payload_kind: Rejected(
            id="i", stage="s", reason="r", message="m", raw=b"", rejected_at=DAY, run_id="r", payload_kind=payload_kind
        )
        for payload_kind in get_args(PayloadKind)
    }
    assert {payload_kind for payload_kind, each in made.items() if replayable(each, 2)} == {
        "record",
        "event",
        "element",
    }
    assert not replayable(made["record"], 1)


def test_a_misspelt_stage_is_told_and_one_of_ones_own_is_taken():
    with pytest.raises(ValueError, match="did you mean 'validate'"):
        Selection(stage=["read", "valdate"])
    assert Selection(stage=["collect", "deduplicate"]).stage == {"collect", "deduplicate"}
