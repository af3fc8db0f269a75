"""The row of a lease: taken, renewed and deleted by one statement each, by the clock of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.run_database import in_transaction

_EXPIRES: Final = "clock_timestamp() + make_interval(secs => :seconds)"
# The same holder may take it again: an attempt whose answer was lost is repeated.
_TAKE: Final = f"""
INSERT INTO pipeline_leases AS lease (name, holder, taken_at, expires_at)
VALUES (:name, :holder, clock_timestamp(), {_EXPIRES})
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, taken_at = clock_timestamp(), expires_at = {_EXPIRES}
WHERE lease.expires_at < clock_timestamp() OR lease.holder = excluded.holder"""
# One that expired, but that nobody took, is still its holder's.
_RENEW: Final = f"UPDATE pipeline_leases SET expires_at = {_EXPIRES} WHERE name = :name AND holder = :holder"
_DELETE: Final = "DELETE FROM pipeline_leases WHERE name = :name AND holder = :holder"


@attrs.frozen
class LeaseAnswer:
    """What the database said.

    Attributes:
        is_held: whether the holder has the lease now.
        asked_at: when it was asked: the lease ends `seconds` later, or a little after that.
    """

    is_held: bool
    asked_at: float


def take_lease(db: Postgres, name: str, holder: str, seconds: float, now: Callable[[], float]) -> LeaseAnswer:
    """Takes a lease that is free or expired; raises as `in_transaction`."""
    return _change_row(db, _TAKE, now, name=name, holder=holder, seconds=seconds)


def renew_lease(db: Postgres, name: str, holder: str, seconds: float, now: Callable[[], float]) -> LeaseAnswer:
    """Renews the lease of a holder, if it is still its own; raises as `in_transaction`."""
    return _change_row(db, _RENEW, now, name=name, holder=holder, seconds=seconds)


def delete_lease(db: Postgres, name: str, holder: str) -> None:
    """Deletes the lease of a holder, if it is still its own; raises as `in_transaction`."""
    _change_row(db, _DELETE, lambda: 0.0, name=name, holder=holder)


def _change_row(db: Postgres, statement: str, now: Callable[[], float], **values: Any) -> LeaseAnswer:
    def change(connection: sa.Connection) -> LeaseAnswer:
        asked_at = now()
        return LeaseAnswer(connection.execute(sa.text(statement), values).rowcount == 1, asked_at)

    return in_transaction(db, change)
