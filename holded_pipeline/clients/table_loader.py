"""Loads batches into one table: COPY into a staging table, then one merge, in one transaction.

A batch that holds a row PostgreSQL refuses is cut in two until the row stands alone; everything else commits. Each
part is a transaction of its own: it needs no savepoint, a deferred constraint speaks up in time, and the summaries
are locked in the order of their keys once per transaction, so writers cannot wait for each other in a circle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import attrs
import sqlalchemy as sa

from holded_pipeline.clients.dialect import quoted, quoted_table
from holded_pipeline.clients.merge_sql import merge_statement
from holded_pipeline.clients.postgres import Postgres
from holded_pipeline.clients.postgres_faults import is_row_fault, is_transient, row_fault, translate
from holded_pipeline.core.errors import RejectRecord

OnConflict = Literal["ignore", "update", "error"]
Keep = Literal["first", "newest"]


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


class TableLoader:
    """An open connection that loads one table. One per worker; not for sharing between threads.

    Args:
        db: the database.
        table: the table, which must exist.
        on_conflict: what a row does whose key is there already.
        keep: which of several rows with one key in one batch counts.
    """

    def __init__(self, db: Postgres, table: sa.Table, *, on_conflict: OnConflict, keep: Keep) -> None:
        self._db = db
        self._table = table
        self._on_conflict = on_conflict
        self._keep = keep
        self._engine = db.engine(pool_size=1, max_overflow=1)
        self._statements: dict[tuple[str, ...], str] = {}

    def close(self) -> None:
        """Gives the connection back."""
        self._engine.dispose()

    def load(self, columns: Sequence[str], lines: Sequence[bytes]) -> Loaded:
        """Loads lines of COPY's text format that fill these columns.

        Raises:
            TransientError: the server did not answer within the deadline.
            ConfigurationError: a grant, the table, a column or a constraint is missing.
        """
        total = Loaded()
        pending = [(0, len(lines))]
        while pending:
            start, end = pending.pop()
            try:
                total += self._load_part(tuple(columns), lines[start:end])
            except _RowRefusedError as refusal:
                if end - start == 1:
                    total += Loaded(refused=((start, refusal.fault),))
                else:
                    middle = (start + end) // 2
                    pending += [(middle, end), (start, middle)]
        return total

    def _load_part(self, columns: tuple[str, ...], lines: Sequence[bytes]) -> Loaded:
        """All of these lines or none."""
        transaction = _Transaction(self._engine, self._statement(columns), self._staging(columns))

        def attempt() -> Loaded:
            try:
                return transaction.run(lines)
            except Exception as error:
                if is_row_fault(error):
                    raise _RowRefusedError(row_fault(error)) from error
                raise

        try:
            return self._db.retry.call(attempt, server=str(self._db), is_transient=is_transient)
        except _RowRefusedError:
            raise
        except Exception as error:
            translated = translate(error, self._db)
            if translated is error:
                raise
            raise translated from error

    def _statement(self, columns: tuple[str, ...]) -> str:
        known = self._statements.get(columns)
        if known is None:
            known = self._statements[columns] = merge_statement(
                self._table, self._staging(columns), columns, on_conflict=self._on_conflict, keep=self._keep
            )
        return known

    def _staging(self, columns: tuple[str, ...]) -> Staging:
        target = quoted_table(self._table)
        digest = hashlib.sha256("\0".join((target, *columns)).encode()).hexdigest()[:16]
        return Staging(f"holded_stage_{digest}", target, tuple(quoted(name) for name in columns))


class _RowRefusedError(Exception):
    """A row of the part is at fault; which one is not known unless it is alone."""

    def __init__(self, fault: RejectRecord) -> None:
        super().__init__(fault)
        self.fault = fault


@attrs.frozen
class Staging:
    """The temporary table of one set of columns; names are quoted already."""

    name: str
    target: str
    columns: tuple[str, ...]

    def create(self) -> str:
        """Its definition: the target's types without its constraints, which the merge checks."""
        return (
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.name} ON COMMIT DELETE ROWS AS "
            f"SELECT 0::bigint AS holded_place, {', '.join(self.columns)} FROM {self.target} WITH NO DATA"
        )

    def copy(self) -> str:
        """What fills it."""
        return f"COPY {self.name} (holded_place, {', '.join(self.columns)}) FROM STDIN"


class _Transaction:
    """One part's transaction, which can be tried again; a commit whose answer was lost is looked up, not guessed."""

    def __init__(self, engine: sa.Engine, merge: str, staging: Staging) -> None:
        self._engine = engine
        self._merge = merge
        self._staging = staging
        self._in_doubt: tuple[str, Loaded] | None = None

    def run(self, lines: Sequence[bytes]) -> Loaded:
        if self._in_doubt is not None:
            transaction, loaded = self._in_doubt
            if self._committed(transaction):
                return loaded
            self._in_doubt = None
        with self._engine.connect() as connection:
            loaded, transaction = self._fill(connection, lines)
            self._in_doubt = transaction, loaded
            connection.commit()
        return loaded

    def _fill(self, connection: sa.Connection, lines: Sequence[bytes]) -> tuple[Loaded, str]:
        connection.begin()
        raw: Any = connection.connection.driver_connection
        with raw.cursor() as cursor:
            cursor.execute("SET LOCAL client_min_messages = warning")
            cursor.execute(self._staging.create())
            with cursor.copy(self._staging.copy()) as copy:
                copy.write(b"".join(b"%d\t%b" % numbered for numbered in enumerate(lines)))
            cursor.execute(self._merge)
            inserted, touched = cursor.fetchone()
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SELECT pg_current_xact_id()::text")
            (transaction,) = cursor.fetchone()
        return Loaded(inserted, touched - inserted, len(lines) - touched), transaction

    def _committed(self, transaction: str) -> bool:
        with self._engine.connect() as connection:
            status = connection.execute(
                sa.text("SELECT pg_xact_status(CAST(:transaction AS xid8))"), {"transaction": transaction}
            ).scalar_one()
        if status == "in progress":
            raise ConnectionError("the server has not yet ended the transaction whose connection broke")
        return bool(status == "committed")
