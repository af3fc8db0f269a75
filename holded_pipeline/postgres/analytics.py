"""Whether the summaries say what the events say."""

from __future__ import annotations

import time
from typing import Any

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.errors import is_transient_postgres_error, translate_postgres_error
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.time_limit import TimeLimit

_COMPANIES = """
    SELECT company_id AS key, count(*) AS total_events, min(occurred_at) AS first_event_at,
        max(occurred_at) AS last_event_at, avg(data_quality_score) AS avg_data_quality,
        (
            SELECT jsonb_object_agg(business_context, events) FROM (
                SELECT business_context, count(*) AS events FROM business_events AS same
                WHERE same.company_id = business_events.company_id GROUP BY business_context
            ) AS counted
        ) AS business_contexts
    FROM business_events GROUP BY company_id"""

_TYPES = """
    SELECT event_type AS key, count(*) AS total_count, count(DISTINCT company_id) AS unique_companies,
        avg(data_quality_score) AS avg_quality_score, max(occurred_at) AS last_occurrence
    FROM business_events GROUP BY event_type"""

_CHECKS = (
    (
        "company_analytics",
        "company_id",
        ("total_events", "first_event_at", "last_event_at", "avg_data_quality", "business_contexts"),
        _COMPANIES,
    ),
    (
        "event_type_summaries",
        "event_type",
        ("total_count", "unique_companies", "avg_quality_score", "last_occurrence"),
        _TYPES,
    ),
)


@attrs.frozen
class AnalyticsDifference:
    """One value of a summary that is not what the events say; `stored` is None where the whole row is missing."""

    table: str
    key: str
    column: str
    stored: Any
    expected: Any


def verify_analytics(db: Postgres) -> list[AnalyticsDifference]:
    """Counts the summaries again from the events, in one snapshot, and compares.

    Args:
        db: a database with the business tables.

    Returns:
        Every difference; an empty list when the summaries are right.

    Raises:
        ConfigurationError: the tables are missing.
        TransientError: the server did not answer within `db.retry`; counting very many events needs a longer deadline.
    """
    engine = db.engine(poolclass=sa.NullPool, isolation_level="REPEATABLE READ")
    ends = time.monotonic() + db.retry.deadline

    def attempt() -> list[AnalyticsDifference]:
        limit = TimeLimit.until(ends, least=db.connect_timeout)
        with limit.connect(engine) as connection:
            connection.exec_driver_sql(limit.on_the_server())
            return [difference for check in _CHECKS for difference in _compare(connection, *check)]

    try:
        return db.retry.call(attempt, server=str(db), is_transient=is_transient_postgres_error)
    except Exception as error:
        translated = translate_postgres_error(error, db)
        if translated is error:
            raise
        raise translated from error


def _compare(
    connection: sa.Connection, table: str, key: str, columns: tuple[str, ...], expected: str
) -> list[AnalyticsDifference]:
    sides = [(column, _value("stored", column), _value("expected", column)) for column in columns]
    pairs = ", ".join(f"{ours} AS stored_{column}, {theirs} AS expected_{column}" for column, ours, theirs in sides)
    differs = " OR ".join(f"{ours} IS DISTINCT FROM {theirs}" for _, ours, theirs in sides)
    rows = connection.execute(
        sa.text(
            f"SELECT coalesce(stored.{key}, expected.key) AS key, {pairs} "
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


def _value(side: str, column: str) -> str:
    """Averages to twelve digits: how many more PostgreSQL keeps depends on the scores that were ever summed."""
    return f"round({side}.{column}, 12)" if column.startswith("avg_") else f"{side}.{column}"
