"""One transaction of a load: bounded in time, safe to retry as a whole, and looked up where its outcome is unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.postgres.time_limit import Deadline

Cursor = Any  # psycopg's, whose type parameters say nothing here


@attrs.frozen
class LoadResult:
    """What became of a batch: `inserted + updated + duplicates + len(rejected)` is the number of its lines.

    `rejected` holds the positions of rejected lines in the batch, each with its rejection. `duplicates_at` holds those
    of the duplicates, if the loader was asked for them.
    """

    inserted: int = 0
    updated: int = 0
    duplicates: int = 0
    rejected: tuple[tuple[int, RejectRecord], ...] = ()
    duplicates_at: tuple[int, ...] = ()

    def __add__(self, other: LoadResult) -> LoadResult:
        return LoadResult(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.duplicates + other.duplicates,
            self.rejected + other.rejected,
            self.duplicates_at + other.duplicates_at,
        )

    def at(self, positions: Sequence[int]) -> LoadResult:
        """The same result of lines that are at these positions of a larger batch."""
        return attrs.evolve(
            self,
            rejected=tuple((positions[index], rejection) for index, rejection in self.rejected),
            duplicates_at=tuple(positions[index] for index in self.duplicates_at),
        )


FindConflicts = Callable[[Cursor, str], tuple[tuple[int, RejectRecord], ...]]
"""Finds merged rows whose key is stored with another content, in the FROM item that they were merged from."""

FindChanged = Callable[[Cursor, str], frozenset[int]]
"""Finds the merged rows that this transaction wrote, in the FROM item that they were merged from."""

LoadLines = Callable[[Cursor, Sequence[bytes]], LoadResult]
"""Loads lines in an open transaction."""

NoteLoad = Callable[[Cursor, LoadResult, Sequence[int]], None]
"""Notes the result of the lines at some positions of a batch, in the open transaction that loaded them."""


@attrs.frozen
class _PendingCommit:
    """A commit whose answer has not arrived."""

    transaction: str
    statistics_reset: str | None
    result: LoadResult


# A crash resets the statistics, whichever process crashed; an orderly stop keeps them. So the time of the last reset
# is the same as long as the server has not crashed.
_STATISTICS_RESET = "(SELECT stats_reset::text FROM pg_stat_bgwriter)"
_SELECT_TRANSACTION = f"SELECT pg_current_xact_id()::text, {_STATISTICS_RESET}"


# With array_nulls off, the server would read a null in an array as text. The default work_mem, 4 MB, does not hold a
# batch, which would be sorted on disk. By default the server notices after two hours that the host of a client is gone,
# and for so long others would wait for the locks of its transaction. Keepalives are not sent while an answer is on its
# way, so that such a host needs tcp_user_timeout (milliseconds); 0 is the kernel's own limit, a quarter of an hour.
_SETTINGS = (
    "SET LOCAL client_min_messages = warning; SET LOCAL array_nulls = on; "
    "SELECT set_config('work_mem', '16MB', true) "
    "WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('16MB'); "
    "SELECT set_config(name, most::text, true) FROM (VALUES ('tcp_keepalives_idle', 30), "
    "('tcp_keepalives_interval', 10), ('tcp_keepalives_count', 3), ('tcp_user_timeout', 60000)) "
    "AS wanted (name, most) WHERE current_setting(name)::int NOT BETWEEN 1 AND most"
)


class LoadTransaction:
    """Loads all of some lines or none. `run` may be retried: a commit whose answer was lost is looked up.

    A server that crashed may have lost the transaction before it was on disk, and may give its number to another one,
    which is committed. So after a crash the lines are loaded again, which shows whether they are in the table.

    Args:
        engine: of the database.
        creates: the statements that create what `load_lines` needs.
        load_lines: loads the lines.
        note: notes what the transaction did, within it; None for no note.
    """

    def __init__(self, engine: sa.Engine, creates: str, load_lines: LoadLines, note: NoteLoad | None = None) -> None:
        self._engine = engine
        self._creates = creates
        self._load_lines = load_lines
        self._note = note
        self._pending: _PendingCommit | None = None

    def run(self, lines: Sequence[bytes], deadline: Deadline) -> LoadResult:
        """Loads the lines."""
        if self._pending is not None:
            committed = self._is_committed(self._pending, deadline)
            if committed:
                return self._pending.result
            if committed is False:
                self._pending = None
        with deadline.time_limit().connect(self._engine) as connection:
            connection.begin()
            raw: Any = connection.connection.driver_connection
            with raw.cursor() as cursor:
                # In one message: for each answer the thread waits for the network, and then for Python's global lock.
                timeouts = deadline.time_limit().set_timeouts_sql()
                cursor.execute(f"{_SELECT_TRANSACTION}; {_SETTINGS}; {timeouts}; {self._creates}")
                transaction, statistics_reset = cursor.fetchone()
                result = self._load_lines(cursor, lines)
                if self._note is not None:
                    self._note(cursor, result, range(len(lines)))
                if self._pending is not None and not result.inserted + result.updated:
                    result = self._pending.result  # every row is there already: the first attempt was committed
            self._pending = _PendingCommit(transaction, statistics_reset, result)
            connection.commit()
        return result

    def _is_committed(self, pending: _PendingCommit, deadline: Deadline) -> bool | None:
        """Whether it was committed; None where the server cannot tell."""
        with deadline.time_limit().connect(self._engine) as connection:
            status, statistics_reset = connection.execute(
                # A server that lost the transaction has not given its number yet; to ask for its status raises.
                sa.text(
                    "SELECT CASE WHEN CAST(:transaction AS xid8) < pg_snapshot_xmax(pg_current_snapshot()) "
                    f"THEN pg_xact_status(CAST(:transaction AS xid8)) END, {_STATISTICS_RESET}"
                ),
                {"transaction": pending.transaction},
            ).one()
        if statistics_reset != pending.statistics_reset:
            return None
        if status == "in progress":
            raise ConnectionError("the server has not yet ended the transaction whose connection broke")
        return bool(status == "committed")
