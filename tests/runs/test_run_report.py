"""A report shows what a run did, and whether every record is accounted for."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

import holded_pipeline as hp

COUNTS = {
    "read.records": 12_000, "read.passed": 11_900, "read.rejected": 100, "read.rejected.invalid_json": 100,
    "enrich.passed": 11_880, "enrich.rejected": 20, "enrich.rejected.no_vat": 20, "enrich.vat.found": 7,
    "write.inserted": 11_000, "write.updated": 100, "write.duplicates": 779, "write.rejected": 1,
    "write.rejected.null.byte": 1, "write_minio.objects": 4, "write_minio.records": 11_880,
    "write_rejected.objects": 3,
}  # fmt: skip
WRITTEN = """\
Run nightly r1 succeeded
------------------------
read                                  12,000
passed all checks                     11,880
rejected                                 121
  read: invalid_json                     100
  enrich: no_vat                          20
  write: null.byte                         1
inserted                              11,000
updated                                  100
duplicates                               779
objects written                            7
seconds                                 24.0
events/s                                 500
read 12,000 = inserted 11,000 + updated 100 + duplicates 779 + rejected 121: yes"""


def report_of(counts, **changes):
    known = {"run_id": "r1", "name": "nightly", "state": "succeeded", "seconds": 24.0}
    return hp.RunReport(**(known | {"began_at": datetime(2026, 1, 2, tzinfo=UTC), "counts": counts} | changes))


def test_the_text_is_a_table():
    assert str(report_of(COUNTS)) == WRITTEN


def test_the_repr_is_one_short_line():
    text = repr(report_of(COUNTS))
    assert text == "<RunReport r1: succeeded, 12,000 read, 11,100 stored, 779 duplicates, 121 rejected>"


def test_rejections_are_counted_by_stage_and_reason():
    report = report_of(COUNTS)
    assert report.rejected == {"read": {"invalid_json": 100}, "enrich": {"no_vat": 20}, "write": {"null.byte": 1}}
    assert report.rejected_total == 121


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"write.inserted": 10_999}, False),
        ({"write.inserted": 22_000}, None),
        ({"read.records": 12_001}, False),
        ({"replay.records": 5, "replay.parked": 5}, True),
    ],
    ids=["all", "one too few", "two tables", "one more read", "parked"],
)
def test_the_accounts_are_balanced_or_not(changes, expected):
    assert report_of(COUNTS | changes).is_balanced is expected


def test_without_a_table_what_was_written_to_the_store_counts():
    report = report_of({"read.records": 5, "read.rejected": 2, "read.rejected.x": 2, "write_minio.records": 3})
    assert (report.stored, report.is_balanced) == (3, True)
    assert str(report).endswith("read 5 = written 3 + rejected 2: yes")


def test_what_is_not_known_is_left_out():
    report = report_of({}, run_id="", name="", began_at=None, seconds=None)
    assert (report.rate, report.records, report.is_balanced) == (None, 0, True)
    assert str(report).startswith("Run succeeded\n")
    assert "events/s" not in str(report)


def test_the_html_escapes_every_text():
    evil = "<script>alert('&')</script>"
    report = report_of({f"{evil}.rejected.{evil}": 1}, run_id=evil, name=evil, state="failed", error=evil)
    html = report._repr_html_()
    assert evil not in html
    assert html.count("&lt;script&gt;") == 5
    assert html.startswith("<div")


def test_the_dict_is_json_and_has_the_sums():
    document = json.loads(json.dumps(report_of(COUNTS, state="failed", error="x").to_dict()))
    assert document["counts"] == COUNTS
    assert (document["stored"], document["rate"], document["began_at"]) == (11_100, 500.0, "2026-01-02T00:00:00+00:00")
    assert (document["state"], document["error"], document["is_balanced"]) == ("failed", "x", True)
