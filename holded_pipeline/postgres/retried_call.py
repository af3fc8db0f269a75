"""A call to PostgreSQL: bounded in time, retried through an outage, its error translated for the user."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError, TransientError
from holded_pipeline.postgres.errors import is_transient_postgres_error, translate_postgres_error
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.sqlstate import sqlstate_of
from holded_pipeline.postgres.time_limit import Deadline

T = TypeVar("T")
_READ_ONLY = "25006"
# A role or a database that is set to be read-only stays so; a server that was not promoted yet does not.
_READ_ONLY_BY = """
SELECT source FROM pg_settings
WHERE name = 'default_transaction_read_only' AND setting = 'on' AND NOT pg_is_in_recovery()
    AND source IN ('user', 'database', 'database user')"""
_ADVICE = {
    "57014": "a statement_timeout of the role or the database may be too short",
    "25P04": "a transaction_timeout of the role or the database may be too short",
    _READ_ONLY: "the server is a standby, or is set to be read-only; name the primary, or several hosts with "
    "target_session_attrs=read-write",
}


def call_postgres(db: Postgres, attempt: Callable[[Deadline], T]) -> T:
    """Calls `attempt` until it succeeds, until its error is no outage, or until `db.retry` gives up.

    Args:
        db: the database that `attempt` uses.
        attempt: does the whole piece of work, and must be safe to repeat. It is given the deadline of the call, which
            bounds each of its connections.

    Raises:
        TransientError: the server did not answer within the deadline.
        ConfigurationError: a setting, a grant, a table or a column is wrong or missing.
    """
    deadline = Deadline(time.monotonic() + db.retry.deadline, minimum=db.connect_timeout)
    try:
        return db.retry.call(
            partial(_writable_or_raise, db, attempt, deadline), server=str(db), is_transient=is_transient_postgres_error
        )
    except TransientError as error:
        advice = _ADVICE.get(sqlstate_of(error.__cause__) or "") if error.__cause__ is not None else None
        if advice is None:
            raise
        raise TransientError(f"{error}; {advice}") from error.__cause__
    except Exception as error:
        translated = translate_postgres_error(error, db)
        if translated is error:
            raise
        raise translated from error


def _writable_or_raise(db: Postgres, attempt: Callable[[Deadline], T], deadline: Deadline) -> T:
    """Makes an attempt; if it failed since the role or the database is set to be read-only, says so at once."""
    try:
        return attempt(deadline)
    except Exception as error:
        if sqlstate_of(error) != _READ_ONLY:
            raise
        engine = db.engine(poolclass=sa.NullPool)  # another server may answer it than the attempt
        with deadline.time_limit().connect(engine) as connection:
            source = connection.execute(sa.text(_READ_ONLY_BY)).scalar()
        if source is None:
            raise
        raise ConfigurationError(
            f"{db} takes no writes: default_transaction_read_only is on for this {source}; reset it by ALTER ROLE or "
            "ALTER DATABASE, or connect as another user"
        ) from error
