"""A call to PostgreSQL: bounded in time, retried through an outage, its error translated for the user."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from holded_pipeline.postgres.errors import is_transient_postgres_error, translate_postgres_error
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.time_limit import Deadline

T = TypeVar("T")


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
        return db.retry.call(partial(attempt, deadline), server=str(db), is_transient=is_transient_postgres_error)
    except Exception as error:
        translated = translate_postgres_error(error, db)
        if translated is error:
            raise
        raise translated from error
