"""Compares the summaries with the events."""

from __future__ import annotations

from typing import Any

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.event_months import is_partitioned
from holded_pipeline.postgres.postgres import Postgres, require_postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.time_limit import Deadline

_COMPANY_ANALYTICS = """
    SELECT company_id AS key, count(*) AS total_events, min(occurred_at) AS first_event_at,
        max(occurred_at) AS last_event_at, avg(data_quality_score) AS avg_data_quality,
        (
            SELECT jsonb_object_agg(business_context, events) FROM (
                SELECT business_context, count(*) AS events FROM business_events AS same
                WHERE same.company_id = business_events.company_id GROUP BY business_context
            ) AS counted
        ) AS business_contexts
    FROM business_events GROUP BY company_id"""

_EVENT_TYPE_SUMMARIES = """
    SELECT event_type AS key, count(*) AS total_count, count(DISTINCT company_id) AS unique_companies,
        avg(data_quality_score) AS avg_quality_score, max(occurred_at) AS last_occurrence
    FROM business_events GROUP BY event_type"""

# Of events in partitions by month: each id has its row in business_event_ids, with the time of its event.
_EVENT_IDS = """
    SELECT stored.event_id, events.event_id, stored.occurred_at, events.occurred_at
    FROM business_event_ids AS stored FULL JOIN business_events AS events USING (event_id)
    WHERE stored.occurred_at IS DISTINCT FROM events.occurred_at
    ORDER BY coalesce(stored.event_id, events.event_id), events.occurred_at"""

_CHECKS = (
    (
        "company_analytics",
        "company_id",
        ("total_events", "first_event_at", "last_event_at", "avg_data_quality", "business_contexts"),
        _COMPANY_ANALYTICS,
    ),
    (
        "event_type_summaries",
        "event_type",
        ("total_count", "unique_companies", "avg_quality_score", "last_occurrence"),
        _EVENT_TYPE_SUMMARIES,
    ),
)


@attrs.frozen
class AnalyticsDifference:
    """One value of a summary that differs from the events; `stored` is None where the whole row is missing."""

    table: str
    key: str
    column: str
    stored: Any
    expected: Any


def verify_analytics(db: Postgres) -> list[AnalyticsDifference]:
    """Computes the summaries again from the events, in one snapshot, and compares; and ids of events in partitions.

    Args:
        db: a database with the business tables.

    Returns:
        Every difference; an empty list when the summaries are right.

    Raises:
        ConfigurationError: the tables are missing.
        TransientError: the server did not answer within `db.retry`; counting very many events needs a longer deadline.
    """
    require_postgres(db, "verify_analytics")
    engine = db.engine(poolclass=sa.NullPool, isolation_level="REPEATABLE READ")

    def attempt(deadline: Deadline) -> list[AnalyticsDifference]:
        limit = deadline.time_limit()
        with limit.connect(engine) as connection:
            connection.exec_driver_sql(limit.set_timeouts_sql())
            found = [difference for check in _CHECKS for difference in _compare(connection, *check)]
            return found + _compare_ids(connection)

    return call_postgres(db, attempt)


def _compare_ids(connection: sa.Connection) -> list[AnalyticsDifference]:
    if not is_partitioned(connection):
        return []
    return [
        AnalyticsDifference("business_event_ids", stored_id or event_id, "occurred_at", stored, expected)
        for stored_id, event_id, stored, expected in connection.execute(sa.text(_EVENT_IDS))
    ]


def _compare(
    connection: sa.Connection, table: str, key: str, columns: tuple[str, ...], expected: str
) -> list[AnalyticsDifference]:
    pairs = [(column, _comparable("stored", column), _comparable("expected", column)) for column in columns]
    selected = ", ".join(
        f"{stored} AS stored_{column}, {wanted} AS expected_{column}" for column, stored, wanted in pairs
    )
    differs = " OR ".join(f"{stored} IS DISTINCT FROM {wanted}" for _, stored, wanted in pairs)
    rows = connection.execute(
        sa.text(
            f"SELECT coalesce(stored.{key}, expected.key) AS key, {selected} "
            f"FROM {table} AS stored FULL JOIN ({expected}) AS expected ON stored.{key} = expected.key "
            f"WHERE stored.{key} IS NULL OR expected.key IS NULL OR {differs} ORDER BY 1"
        )
    )
    return [
        AnalyticsDifference(table, row["key"], column, row[f"stored_{column}"], row[f"expected_{column}"])
        for row in rows.mappings()
        for column in columns
        if row[f"stored_{column}"] != row[f"expected_{column}"]
    ]


def _comparable(side: str, column: str) -> str:
    """A column as SQL; averages to twelve digits, since how many more there are depends on all scores ever summed."""
    return f"round({side}.{column}, 12)" if column.startswith("avg_") else f"{side}.{column}"
