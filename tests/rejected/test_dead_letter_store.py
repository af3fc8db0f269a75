"""The lines of a dead-letter store: where they are, how they are read, and which can be replayed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import PayloadKind, Rejected
from holded_pipeline.rejected.dead_letter_store import (
    is_replayable,
    is_resolution,
    read_rejected,
    read_resolution,
    read_summary,
    store_prefix,
)

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("prefix", ["rejected", "rejected/", "/rejected/"])
def test_a_prefix_is_one_folder_however_it_is_written(prefix):
    assert store_prefix(prefix) == "rejected/"
    assert is_resolution(prefix, "rejected/_settled/x.jsonl.gz")
    assert not is_resolution(prefix, "rejected/stage=_settled/date=2026-01-01/x.jsonl.gz")


@pytest.mark.parametrize("read", [read_summary, read_rejected, read_resolution])
@pytest.mark.parametrize("line", [b"{", b"[]", b"{}", b'{"id": 1}', b'{"record": {"content": "x"}}', b"\xff"])
def test_a_line_of_something_else_is_named_in_the_error(read, line):
    with pytest.raises(ConfigurationError, match="b/k, line 3, is not what WriteRejected"):
        read(line, "b/k, line 3,")


def test_only_whole_records_below_max_attempts_are_replayable():
    made = {
        payload_kind: Rejected(
            id="i", stage="s", reason="r", message="m", raw=b"", rejected_at=DAY, run_id="r", payload_kind=payload_kind
        )
        for payload_kind in get_args(PayloadKind)
    }
    assert {payload_kind for payload_kind, each in made.items() if is_replayable(each, 2)} == {
        "record",
        "event",
        "element",
    }
    assert not is_replayable(made["record"], 1)
