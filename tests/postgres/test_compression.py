"""Rows of two to four kilobytes, which most events have, are loaded without being compressed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from table_contents import load_rows, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.event_row import EVENT_COLUMNS, PRODUCED_COLUMNS, event_row
from holded_pipeline.postgres.tables import business_events

SHORT, LONG = 2_800, 20_000  # characters that compress well
COMPRESSED = "SELECT event_id, pg_column_compression(data) IS NOT NULL FROM business_events ORDER BY 1"


@pytest.fixture
def db(bare_db):
    return bare_db


def store(db, event_id, *, size=SHORT, year=2026):
    event = hp.Event(event_id, "t", "c", datetime(year, 5, 1, tzinfo=UTC), {"text": "x" * size})
    load_rows(db, business_events, [event_row(event)], columns=EVENT_COLUMNS, same=PRODUCED_COLUMNS)


def test_rows_of_up_to_four_kilobytes_are_not_compressed(db):
    hp.migrate(db)
    store(db, "long", size=LONG)
    store(db, "whole")
    assert rows_of(db, COMPRESSED) == [("long", True), ("whole", False)]


def test_nor_are_those_in_partitions(db):
    hp.migrate(db)
    hp.migrate(db, partition_by="month")
    store(db, "in a month", year=datetime.now(UTC).year)
    store(db, "in no month", year=1990)
    run_statements(db, "SELECT holded_add_month('2020-05-01')")
    store(db, "in a new month", year=2020)
    assert rows_of(db, COMPRESSED) == [("in a month", False), ("in a new month", False), ("in no month", False)]


def test_events_that_were_partitioned_by_an_older_version_get_it(db):
    hp.migrate(db, "0003")
    hp.migrate(db, "0004")
    store(db, "older")
    hp.migrate(db)
    run_statements(db, "SELECT holded_add_month('2020-05-01')")
    store(db, "newer", year=1990)
    store(db, "in a new month", year=2020)
    assert rows_of(db, COMPRESSED) == [("in a new month", False), ("newer", False), ("older", True)]


def test_a_setting_of_the_users_stays(db):
    hp.migrate(db, "0003")
    run_statements(db, "ALTER TABLE business_events SET (toast_tuple_target = 2040)")
    hp.migrate(db)
    store(db, "as before")
    assert rows_of(db, COMPRESSED) == [("as before", True)]
