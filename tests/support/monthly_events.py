"""Events for `business_events` in either layout: one table, or partitions by month."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from table_contents import load_rows, rows_of

import holded_pipeline as hp
from holded_pipeline.postgres.event_row import PRODUCED_COLUMNS
from holded_pipeline.postgres.tables import business_events

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
LAYOUTS = ["one table", "by month"]


def event(key: str, at: datetime | None = MARCH, **changes: Any) -> dict[str, Any]:
    """A row of `business_events`."""
    row = {
        "event_id": key, "event_type": "t", "company_id": "c", "user_id": None, "occurred_at": at,
        "business_context": "x", "data_quality_score": 0.5, "data": {"n": 1}, "metadata": {}, "source": None,
    }  # fmt: skip
    return row | changes


def load(db: hp.Postgres, rows: Any, on_conflict: str = "ignore", **choices: Any) -> tuple[Any, Any]:
    """The counts, and the reason of each rejected position; what was accepted is counted right in the summaries."""
    same = PRODUCED_COLUMNS if on_conflict == "ignore" else ()
    choices = {"same": same, "tells_duplicates": True} | choices
    done = load_rows(db, business_events, rows, on_conflict=on_conflict, **choices)
    reasons = {position: each.reason for position, each in done.rejected}
    assert done.inserted + done.updated + done.duplicates + len(reasons) == len(rows)
    assert len(done.duplicates_at) in (0, done.duplicates)
    assert hp.verify_analytics(db) == []
    return (done.inserted, done.updated, done.duplicates), reasons


def migrated(db: hp.Postgres, layout: str) -> hp.Postgres:
    """The database with its tables, by month with partitions of February to April 2026."""
    hp.migrate(db, partition_by="month" if layout == "by month" else None)
    if layout == "by month":
        for month in (2, 3, 4):
            rows_of(db, f"SELECT holded_add_month('2026-0{month}-01Z')")
    return db
