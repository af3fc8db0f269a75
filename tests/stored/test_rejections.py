"""Stored rejections, iterated without a pipeline."""

from __future__ import annotations

import importlib.util
import logging
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import pytest

import holded_pipeline as hp

LINES = hp.testing.sample_lines(hp.testing.sample_events(5)) + b'x\n{"data": {}}\ny\n'


def run(build):
    with beam.Pipeline(runner="FnApiRunner") as p:
        build(p)


def store_rejections(lake: hp.MinIO) -> hp.MinIO:
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", LINES)
    run(lambda p: (p | hp.ReadMinIO(lake, "raw/")).rejected | hp.WriteRejected(lake, "rejected/"))
    return lake


@pytest.fixture(scope="module")
def only_read(stack: hp.local.Stack) -> hp.MinIO:
    """A bucket with rejections that no test changes."""
    return store_rejections(stack.new_bucket())


@pytest.fixture
def lake_with_rejections(lake: hp.MinIO) -> hp.MinIO:
    return store_rejections(lake)


def reasons(found):
    return sorted(each.reason for each in found)


def test_each_rejection_comes_whole(only_read):
    found = hp.rejected(only_read)
    for _ in range(2):
        assert {each.raw for each in found} == {b"x", b"y", b'{"data": {}}'}
    assert {(each.source.key, each.source.line) for each in found} == {("raw/a.jsonl", line) for line in (6, 7, 8)}


def test_a_misspelt_prefix_is_named_with_its_neighbours(only_read, caplog):
    with caplog.at_level(logging.WARNING, "holded_pipeline"):
        assert list(hp.rejected(only_read, "rejectd/")) == []
        assert list(hp.rejected(only_read, "rejected/", stage="enrich")) == []
    (said,) = [each.getMessage() for each in caplog.records if each.name == "holded_pipeline"]
    assert "is below 'rejectd/'; the bucket has rejected/, raw/" in said


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["invalid_json", "invalid_json", "missing_field"]),
        ({"reason": "missing_field"}, ["missing_field"]),
        ({"reason": ["missing_field", "too_deep"], "stage": "read"}, ["missing_field"]),
        ({"stage": "validate"}, []),
        ({"since": datetime.now(UTC) + timedelta(days=1)}, []),
        ({"until": datetime.now(UTC) - timedelta(days=1)}, []),
    ],
)
@pytest.mark.parametrize("which", ["open", "all"])
def test_filters_are_those_of_read_rejected(only_read, filters, expected, which):
    assert reasons(hp.rejected(only_read, which=which, **filters)) == expected


def test_what_was_replayed_is_no_longer_open(lake_with_rejections):
    lake = lake_with_rejections

    def replay(p):
        again = p | hp.ReadRejected(lake, "rejected/", reason="invalid_json")
        (again.rejected, again.parked) | hp.WriteRejected(lake, "rejected/")

    before = {each.id for each in hp.rejected(lake)}
    run(replay)
    now = list(hp.rejected(lake))
    assert reasons(now) == ["invalid_json", "invalid_json", "missing_field"]
    assert sorted(each.attempts for each in now) == [1, 2, 2]
    everything = list(hp.rejected(lake, which="all"))
    assert len(everything) == 5
    assert before <= {each.id for each in everything}


def test_a_rejection_that_breaks_its_schema_is_named_and_the_others_come(lake_with_rejections, caplog):
    lake = lake_with_rejections
    broken = b'{"id": "no", "stage": "read", "reason": "r", "record": 1}\n'
    lake.filesystem().pipe(f"{lake.bucket}/rejected/stage=read/date=2026-01-01/broken.jsonl", broken)
    with caplog.at_level(logging.WARNING, "holded_pipeline"):
        assert len(list(hp.rejected(lake))) == 3
    assert "broken.jsonl, line 1" in caplog.text


def test_another_object_below_the_prefix_is_an_error(lake_with_rejections):
    lake = lake_with_rejections
    lake.filesystem().pipe(f"{lake.bucket}/rejected/other.jsonl", b'{"a": 1}\n')
    with pytest.raises(hp.ConfigurationError, match=r"other\.jsonl, line 1"):
        list(hp.rejected(lake))


def test_wrong_arguments_are_refused_at_once(lake):
    for arguments in ({"which": "closed"}, {"stage": "reed"}, {"since": datetime(2026, 1, 1)}):  # noqa: DTZ001
        with pytest.raises(ValueError, match=r"which|stage|since"):
            hp.rejected(lake, **arguments)


def test_a_table_where_pandas_is_installed_and_a_plain_error_where_not(only_read):
    found = hp.rejected(only_read, reason="missing_field")
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(ImportError, match="pip install 'pandas"):
            found.to_pandas()
        return
    frame = found.to_pandas()
    assert list(frame["reason"]) == ["missing_field"]
    assert list(frame["line"]) == [7]
    assert list(hp.rejected(only_read, reason="no_such").to_pandas().columns) == list(frame.columns)
    assert list(frame["raw"]) == [b'{"data": {}}']
    assert any("/headers" in violation for violation in frame["violations"][0])
