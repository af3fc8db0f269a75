"""One id with two contents: the first is stored, the other is rejected with the place of both."""

from __future__ import annotations

import json
from datetime import timedelta

import apache_beam as beam
import pytest
from event_factory import NEW_YEAR, make_event
from pipeline_runs import run_load
from table_contents import rows_of

import holded_pipeline as hp


def read_event(number=1, line=1, key="raw/a.jsonl", **fields):
    return make_event(number, **{"source": hp.Source("lake", key, "e", line), "raw": b'{"line": %d}' % line} | fields)


def counts_of(ran):
    names = ("inserted", "duplicates", "rejected")
    return tuple(sum(getattr(each, name) for each in ran["receipts"]) for name in names)


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"n": 2}},
        {"type": "another"},
        {"company_id": "c9"},
        {"user_id": "u9"},
        {"occurred_at": NEW_YEAR + timedelta(microseconds=1)},
    ],
    ids=lambda other: next(iter(other)),
)
@pytest.mark.parametrize("settings", [{}, {"batch_rows": 1}], ids=["in a batch", "in two batches"])
def test_another_content_is_rejected_with_the_place_of_both(run, db, other, settings):
    ran = run_load(run, db, [read_event(line=3), read_event(line=4, **other)], **settings)
    assert counts_of(ran) == (1, 0, 1)
    (rejected,) = ran["rejected"]
    assert (rejected.reason, rejected.source.line, rejected.raw) == ("id_conflict", 4, b'{"line": 4}')
    assert "lake/raw/a.jsonl, line 3" in rejected.message
    column = {"type": "event_type"}.get(name := next(iter(other)), name)
    assert [violation.pointer for violation in rejected.violations] == ["/data/n" if name == "data" else f"/{column}"]


def test_what_the_pipeline_found_out_is_not_the_content(run, db):
    run_load(run, db, [read_event(metadata={"quality": {"score": 0.5}, "processing": {"run_id": "1"}})])
    again = read_event(
        line=9, key="raw/copy.jsonl", metadata={"quality": {"score": 1.0}, "processing": {"run_id": "2"}}
    )
    assert counts_of(run_load(run, db, [again])) == (0, 1, 0)


def test_update_replaces_another_content(run, db):
    run_load(run, db, [read_event()])
    ran = run_load(run, db, [read_event(data={"n": 2})], on_conflict="update")
    assert (ran["receipts"][0].updated, ran["rejected"]) == (1, [])


def message(data):
    return json.dumps(
        {"event_id": "e1", "event_type": "t", "company_id": "c", "timestamp": 1_700_000_000_000, "data": data}
    )


def test_each_content_of_an_id_is_found_after_any_number_of_runs(lake, db):
    """Two runs read one id with three contents, one of them twice with its names in another order."""
    lines = [message({"n": 1, "m": 2}), message({"m": 2, "n": 1}), message({"n": 2}), message({"n": 3})]
    lake.filesystem().pipe(f"{lake.bucket}/raw/x.jsonl", "\n".join(lines).encode())
    for _ in range(2):
        with beam.Pipeline(runner="FnApiRunner") as p:
            raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat")
            loaded = raw.passed | hp.WritePostgres(db)
            _ = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        ((stored,),) = rows_of(db, "SELECT data->'data' FROM business_events")
        assert stored == {"n": 1, "m": 2}
    outlook = hp.forecast(lake, "rejected/", [], envelope="flat")
    assert {old: sum(new.values()) for old, new in outlook.by_reason.items()} == {("write", "id_conflict"): 2}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"same": ("data",), "on_conflict": "update"}, "same goes with"),
        ({"same": "data"}, "takes names of columns"),
        ({"same": ("nothing",)}, "does not have"),
        ({"newer_by": "occurred_at"}, "newer_by goes with"),
        ({"newer_by": "event_id", "on_conflict": "update"}, "part of the key"),
        ({"newer_by": "data", "on_conflict": "update"}, "has no order"),
        ({"newer_by": "version", "on_conflict": "update"}, "does not have"),
        ({"conflict_on": ()}, "takes names of columns"),
        ({"conflict_on": ("nothing",)}, "does not have"),
    ],
)
def test_choices_that_cannot_be_are_refused(db, settings, words):
    with pytest.raises(ValueError, match=words):
        hp.WritePostgres(db, **settings)
