"""Summaries that wait during a backfill: the triggers are off, and afterwards all is computed from the events."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import sqlalchemy as sa

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.time_limit import Deadline

_log = logging.getLogger(__name__)

_TRIGGERS = tuple(f"holded_events_{event}" for event in ("inserted", "updated", "deleted", "truncated"))
_IS_PAUSED = (
    "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('business_events') AND tgenabled = 'D' "
    "AND tgname = 'holded_events_inserted')"
)

# Readers see the old summaries until the commit; writers wait.
_REBUILD = (
    "LOCK TABLE business_events IN SHARE ROW EXCLUSIVE MODE",
    "DELETE FROM company_analytics",
    "DELETE FROM event_type_summaries",
    "DELETE FROM event_type_companies",
    """
    INSERT INTO company_analytics (
        company_id, total_events, first_event_at, last_event_at, business_contexts, scored_events, quality_sum
    )
    SELECT company_id, sum(events), min(first_at), max(last_at), jsonb_object_agg(business_context, events),
        sum(scored), sum(quality)
    FROM (
        SELECT company_id, business_context, count(*) AS events, min(occurred_at) AS first_at,
            max(occurred_at) AS last_at, count(data_quality_score) AS scored,
            coalesce(sum(data_quality_score), 0) AS quality
        FROM business_events GROUP BY company_id, business_context
    ) AS counted GROUP BY company_id""",
    """
    INSERT INTO event_type_companies (event_type, company_id, events)
    SELECT event_type, company_id, count(*) FROM business_events GROUP BY event_type, company_id""",
    """
    INSERT INTO event_type_summaries (
        event_type, total_count, unique_companies, last_occurrence, scored_events, quality_sum
    )
    SELECT event_type, count(*), count(DISTINCT company_id), max(occurred_at), count(data_quality_score),
        coalesce(sum(data_quality_score), 0)
    FROM business_events GROUP BY event_type""",
)


def pause_analytics(db: Postgres) -> None:
    """Switches the triggers off that keep the summaries right, for a backfill; `rebuild_analytics` ends that.

    Meanwhile `company_analytics` and `event_type_summaries` stay as they are, `verify_analytics` returns differences,
    and each run that begins logs a warning. Ids stay unique, and nothing else changes for loads. Safe to repeat.

    Args:
        db: the database; its user owns the business tables.

    Raises:
        ConfigurationError: the tables are missing, or belong to another user.
        TransientError: the server did not answer within `db.retry`, or something held the table's lock so long.
    """
    _run_statements(db, _switch("DISABLE"))


def rebuild_analytics(db: Postgres) -> None:
    """Computes the summaries from all events, and switches their triggers on if they were off. All or nothing.

    Use it after `pause_analytics`, and after a partition was dropped. Writers of events wait meanwhile, within their
    own `retry`; readers see the old summaries until it is done. Safe to repeat.

    Args:
        db: the database; its user owns the business tables. `db.retry` bounds the whole call: counting very many events
            needs a longer deadline.

    Raises:
        ConfigurationError: the tables are missing, or belong to another user.
        TransientError: the server did not answer within `db.retry`, or something held the table's lock so long.
    """
    _run_statements(db, (*_REBUILD, *_switch("ENABLE")))


def warn_if_paused(connection: sa.Connection, db: Postgres) -> None:
    """Logs a warning where the triggers of the summaries are off."""
    if connection.execute(sa.text(_IS_PAUSED)).scalar():
        _log.warning(
            "%s: the summaries are paused (hp.pause_analytics) and do not count new events; hp.rebuild_analytics(db) "
            "computes them and ends the pause",
            db,
        )


def _switch(action: str) -> tuple[str, ...]:
    switched = ", ".join(f"{action} TRIGGER {name}" for name in _TRIGGERS)
    return (f"ALTER TABLE business_events {switched}",)


def _run_statements(db: Postgres, statements: Sequence[str]) -> None:
    engine = db.engine(poolclass=sa.NullPool)

    def attempt(deadline: Deadline) -> None:
        limit = deadline.time_limit()
        with limit.connect(engine) as connection, connection.begin():
            connection.exec_driver_sql(limit.set_timeouts_sql("lock_timeout"))
            for statement in statements:
                connection.exec_driver_sql(statement)

    call_postgres(db, attempt)
