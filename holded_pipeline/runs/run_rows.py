"""Writes what is recorded of a run: its row, its signs of life, its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.migrate import migrate
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.run_tables import pipeline_runs
from holded_pipeline.runs.run_database import in_transaction
from holded_pipeline.runs.run_records import KILLED_SECONDS, is_dead

_KILLED = f"its process ended without a word: no sign of life for {KILLED_SECONDS} seconds"


@attrs.frozen(hash=False)
class BegunRun:
    """What is recorded of a run when it begins; see `RunRecord`."""

    run_id: str
    name: str
    host: str
    process_id: int
    versions: Mapping[str, str]
    arguments: Mapping[str, Any]


@attrs.frozen(hash=False)
class EndedRun:
    """What is recorded of a run when it ends; see `RunRecord`."""

    state: Literal["succeeded", "failed"]
    counts: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]]
    error: str | None = None


def begin_run(db: Postgres, run: BegunRun, *, creates_tables: bool = True) -> None:
    """Records that a run has begun, and marks those that were killed. The row of a run with this id is replaced.

    Raises:
        ConfigurationError: a run with this id was settled, a grant is missing, or the database is wrong.
        TransientError: the database did not answer within `db.retry`.
    """
    if creates_tables:
        migrate(db)
    values = {**attrs.asdict(run), "state": "running", "counts": {}, "rejected": {}}
    again = {"began_at": sa.func.now(), "seen_at": sa.func.now(), "ended_at": None, "settled_at": None, "error": None}
    row = insert(pipeline_runs).values(values)
    is_unsettled = pipeline_runs.c.settled_at.is_(None)
    replaced = row.on_conflict_do_update(index_elements=["run_id"], set_=values | again, where=is_unsettled)
    begun = replaced.returning(pipeline_runs.c.run_id)
    killed = sa.update(pipeline_runs).where(is_dead).values(state="killed", error=_KILLED)
    if not _execute(db, killed, begun):
        raise ConfigurationError(
            f"a run with the id {run.run_id!r} is recorded as settled, and its record is kept; give this run another "
            "--run_id, or none"
        )


def mark_seen(db: Postgres, run_id: str, counts: Mapping[str, int]) -> None:
    """Records that a run is alive, and what it has counted so far; raises as `begin_run`."""
    table = pipeline_runs
    alive = sa.update(table).where(table.c.run_id == run_id, table.c.ended_at.is_(None))
    _execute(db, alive.values(seen_at=sa.func.now(), state="running", error=None, counts=dict(counts)))


def end_run(db: Postgres, run_id: str, end: EndedRun) -> None:
    """Records how a run ended; raises as `begin_run`."""
    ended = sa.update(pipeline_runs).where(pipeline_runs.c.run_id == run_id)
    now = sa.func.now()
    if end.error is not None:  # PostgreSQL holds neither U+0000 nor lone surrogates
        end = attrs.evolve(end, error=end.error.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode())
    _execute(db, ended.values(**attrs.asdict(end), seen_at=now, ended_at=now))


def _execute(db: Postgres, *statements: sa.Executable) -> bool:
    """Executes statements in one transaction; returns whether the last one returned a row."""

    def work(connection: sa.Connection) -> bool:
        results = [connection.execute(statement) for statement in statements]
        return results[-1].returns_rows and results[-1].first() is not None

    return in_transaction(db, work)
