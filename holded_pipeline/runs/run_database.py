"""The calls that the rooms of runs make to PostgreSQL: each is one short transaction, bounded in time and retried."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.time_limit import Deadline

T = TypeVar("T")


def in_transaction(db: Postgres, work: Callable[[sa.Connection], T], *, engine: sa.Engine | None = None) -> T:
    """What `work` returns for a connection in a transaction; it is repeated after an outage, so it must be safe to.

    Args:
        db: the database.
        work: all of the transaction.
        engine: keeps a connection between calls; None for a connection of its own. It must not ping.

    Raises:
        TransientError: the server did not answer within `db.retry`.
        ConfigurationError: a table or a grant is missing.
    """
    used = engine or db.engine(poolclass=sa.NullPool)

    def attempt(deadline: Deadline) -> T:
        limit = deadline.time_limit()
        with limit.connect(used) as connection, connection.begin():
            connection.exec_driver_sql(limit.set_timeouts_sql())
            return work(connection)

    return call_postgres(db, attempt)
