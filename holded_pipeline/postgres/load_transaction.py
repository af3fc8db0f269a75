"""One transaction of a load: bounded in time, tried again whole, and looked up where its end is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.postgres.time_limit import TimeLimit

Cursor = Any  # psycopg's, whose type parameters say nothing here


@attrs.frozen
class Loaded:
    """What became of a batch: `inserted + updated + duplicates + len(refused)` is the number of its lines.

    `refused` holds the places of refused lines in the batch, with their reasons.
    """

    inserted: int = 0
    updated: int = 0
    duplicates: int = 0
    refused: tuple[tuple[int, RejectRecord], ...] = ()

    def __add__(self, other: Loaded) -> Loaded:
        return Loaded(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.duplicates + other.duplicates,
            self.refused + other.refused,
        )


Fill = Callable[[Cursor, Sequence[bytes]], Loaded]


@attrs.frozen
class _Commit:
    """A commit whose answer has not come."""

    transaction: str
    lifetime: str | None
    loaded: Loaded


# A crash forgets the statistics and begins them anew, whichever process it took; a stop in order keeps them.
_LIFETIME = "(SELECT stats_reset::text FROM pg_stat_bgwriter)"


class LoadTransaction:
    """All of some lines or none, which can be tried again; a commit whose answer was lost is looked up, not guessed.

    A server that crashed may have forgotten the transaction before it was on disk, and may give its number to another
    one, which then is committed. So after a crash the lines are loaded again, which tells whether they are there.

    Args:
        engine: where to.
        fill: loads the lines, in a transaction that is open.
        ends: the time, by `time.monotonic()`, at which whoever waits for it gives up.
        least: seconds that an attempt has however late it begins.
    """

    def __init__(self, engine: sa.Engine, fill: Fill, *, ends: float, least: float) -> None:
        self._engine = engine
        self._fill = fill
        self._ends = ends
        self._least = least
        self._in_doubt: _Commit | None = None

    def run(self, lines: Sequence[bytes]) -> Loaded:
        """Loads the lines."""
        if self._in_doubt is not None:
            committed = self._committed(self._in_doubt)
            if committed:
                return self._in_doubt.loaded
            if committed is False:
                self._in_doubt = None
        with self._limit().connect(self._engine) as connection:
            connection.begin()
            raw: Any = connection.connection.driver_connection
            with raw.cursor() as cursor:
                # Off, it would take a null in an array for a text.
                cursor.execute("SET LOCAL client_min_messages = warning; SET LOCAL array_nulls = on")
                cursor.execute(self._limit().on_the_server())
                loaded = self._fill(cursor, lines)
                if self._in_doubt is not None and not loaded.inserted + loaded.updated:
                    loaded = self._in_doubt.loaded  # all of it is there: it was committed
                cursor.execute(f"SELECT pg_current_xact_id()::text, {_LIFETIME}")
                transaction, lifetime = cursor.fetchone()
            self._in_doubt = _Commit(transaction, lifetime, loaded)
            connection.commit()
        return loaded

    def _limit(self) -> TimeLimit:
        return TimeLimit.until(self._ends, least=self._least)

    def _committed(self, commit: _Commit) -> bool | None:
        """Whether it was; None where the server cannot tell."""
        with self._limit().connect(self._engine) as connection:
            status, lifetime = connection.execute(
                # A number that the server has not given yet, it has forgotten; asked about it raises.
                sa.text(
                    "SELECT CASE WHEN CAST(:transaction AS xid8) < pg_snapshot_xmax(pg_current_snapshot()) "
                    f"THEN pg_xact_status(CAST(:transaction AS xid8)) END, {_LIFETIME}"
                ),
                {"transaction": commit.transaction},
            ).one()
        if lifetime != commit.lifetime:
            return None
        if status == "in progress":
            raise ConnectionError("the server has not yet ended the transaction whose connection broke")
        return bool(status == "committed")
