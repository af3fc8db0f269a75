"""Loads batches into one table: COPY into a staging table, then one merge, in one transaction.

A batch that holds rows PostgreSQL refuses is loaded without them, by another transaction, which finds them (see
`poison_rows`). Rows that are good alone but not together, such as two with one value where only one may be, are told
apart by cutting the batch in two. Each part is a transaction of its own: a deferred constraint speaks up in time, and
keys and summaries are locked in the order of their keys once per transaction, so writers cannot wait for each other in
a circle.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import attrs
import sqlalchemy as sa

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.postgres.column_defaults import filled_by_client
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.copy_lines import copy_lines
from holded_pipeline.postgres.dialect import quoted, quoted_table
from holded_pipeline.postgres.errors import is_transient_postgres_error, translate_postgres_error
from holded_pipeline.postgres.load_transaction import Cursor, Fill, Loaded, LoadTransaction
from holded_pipeline.postgres.merge_sql import merge_statement
from holded_pipeline.postgres.poison_rows import TextStaging
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.row_errors import RowRejectedError, row_errors

OnConflict = Literal["ignore", "update", "reject"]
Keep = Literal["first", "last"]

_MAY_YET_PASS = {"foreign_key_violation", "no_data_found", "raise_exception"}
"""Reasons that another row of the same batch can take away, once it is stored."""


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
        self._form = RowFormat(table)
        # A ping before each use would not be bounded in time; a connection that went stale costs one more attempt.
        self._engine = db.engine(pool_size=1, max_overflow=1, pool_pre_ping=False)
        self._staging: dict[tuple[str, ...], tuple[Staging, TextStaging]] = {}

    def close(self) -> None:
        """Gives the connection back."""
        self._engine.dispose()

    def load(self, columns: Sequence[str], lines: Sequence[bytes]) -> Loaded:
        """Loads lines that `RowFormat.line` made for rows that give these columns.

        Raises:
            TransientError: the server did not answer within the deadline.
            ConfigurationError: a grant, the table, a column or a constraint is missing.
        """
        total = Loaded()
        refused: dict[int, RejectRecord] = {}
        places: Sequence[int] = range(len(lines))
        while places:
            loaded = self._load_places(tuple(columns), lines, places)
            total += attrs.evolve(loaded, refused=())
            asked = set(places)
            refused = {place: fault for place, fault in refused.items() if place not in asked}
            refused |= dict(loaded.refused)
            again = [place for place in sorted(refused) if refused[place].reason in _MAY_YET_PASS]
            # Some of them may be good together, and were kept apart only by those that are not asked again.
            places = again if loaded.inserted + loaded.updated or len(again) < len(asked) else ()
        return total + Loaded(refused=tuple(sorted(refused.items())))

    def _load_places(self, columns: tuple[str, ...], lines: Sequence[bytes], places: Sequence[int]) -> Loaded:
        """Loads some of the lines; parts that are good only in part are cut in two."""
        total = Loaded()
        pending = [places]
        while pending:
            part = pending.pop()
            try:
                loaded = self._load_part(columns, [lines[place] for place in part])
            except RowRejectedError:
                middle = len(part) // 2
                pending += [part[middle:], part[:middle]]
            else:
                there = tuple((part[place], fault) for place, fault in loaded.refused)
                total += attrs.evolve(loaded, refused=there)
        return total

    def _load_part(self, columns: tuple[str, ...], lines: Sequence[bytes]) -> Loaded:
        plain, as_text = self._staging_of(columns)
        try:
            return self._transact(plain.load, lines)
        except RowRejectedError as refusal:
            if len(lines) == 1:
                return Loaded(refused=((0, refusal.fault),))
        return self._transact(as_text.load_good, lines)

    def _transact(self, fill: Fill, lines: Sequence[bytes]) -> Loaded:
        ends = time.monotonic() + self._db.retry.deadline
        transaction = LoadTransaction(self._engine, fill, ends=ends, least=self._db.connect_timeout)
        try:
            return self._db.retry.call(
                partial(transaction.run, lines), server=str(self._db), is_transient=is_transient_postgres_error
            )
        except Exception as error:
            translated = translate_postgres_error(error, self._db)
            if translated is error:
                raise
            raise translated from error

    def _staging_of(self, columns: tuple[str, ...]) -> tuple[Staging, TextStaging]:
        known = self._staging.get(columns)
        if known is None:
            target = quoted_table(self._table)
            digest = hashlib.sha256("\0".join((target, *columns)).encode()).hexdigest()[:16]
            staged = (*columns, *(column.name for column in filled_by_client(self._table, columns)))
            names = tuple(quoted(name) for name in staged)
            merge = partial(
                merge_statement, self._form, target, columns, on_conflict=self._on_conflict, keep=self._keep
            )
            known = self._staging[columns] = (
                Staging(f"holded_stage_{digest}", target, names, merge),
                TextStaging(f"holded_texts_{digest}", target, names, merge),
            )
        return known


@attrs.frozen
class Staging:
    """The temporary table of one set of columns, with the target's types; names are quoted already.

    Attributes:
        name: of the temporary table.
        target: the table it is for.
        columns: those that the lines fill.
        merge: makes the merge statement that takes its rows from what it is given, a FROM item.
    """

    name: str
    target: str
    columns: tuple[str, ...]
    merge: Callable[[str], str]

    def load(self, cursor: Cursor, lines: Sequence[bytes]) -> Loaded:
        """Loads all of the lines."""
        # The target's types without its constraints, which the merge checks.
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.name} ON COMMIT DELETE ROWS AS "
            f"SELECT 0::bigint AS holded_place, {', '.join(self.columns)} FROM {self.target} WITH NO DATA"
        )
        with row_errors(len(lines)):
            copy_lines(cursor, self.name, self.columns, lines)
            cursor.execute(self.merge(self.name))
            inserted, touched = cursor.fetchone()
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        return Loaded(inserted, touched - inserted, len(lines) - touched)
