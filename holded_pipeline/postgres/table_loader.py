"""Loads batches into one table: COPY into a staging table, then one merge, in one transaction.

A batch with rows that PostgreSQL rejects is loaded without them, by another transaction that finds them (see
`poison_rows`). Rows that are good alone but not together, such as two with the same value in a unique column, are found
by splitting the batch in two. Each half is a transaction of its own: a deferred constraint fails before the commit, and
keys and summaries are locked in the order of their keys once per transaction, so writers cannot deadlock.

Rows that fill different columns are loaded together where that gives the same rows (see `column_sets`), and otherwise
set by set, in the order in which the sets first occur.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Literal

import attrs
import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.postgres.changed_rows import find_changed
from holded_pipeline.postgres.column_sets import (
    LineLayout,
    OmissibleColumns,
    fields_at,
    filled_bits,
    group_by_columns,
    omissible_columns,
    rounds_by_key,
    staged_columns,
)
from holded_pipeline.postgres.conflict_target import TableFacts, primary_key, table_facts
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.dialect import quote_name, quote_table
from holded_pipeline.postgres.event_ids import is_taken_id
from holded_pipeline.postgres.load_transaction import LoadLines, LoadResult, LoadTransaction, NoteLoad
from holded_pipeline.postgres.merge_sql import merge_statement
from holded_pipeline.postgres.merged_rows import MergedRows
from holded_pipeline.postgres.poison_rows import TextStagingTable
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.row_errors import RowRejectedError
from holded_pipeline.postgres.row_policies import check_policies
from holded_pipeline.postgres.run_loads import noted_at
from holded_pipeline.postgres.same_content import find_conflicts
from holded_pipeline.postgres.staging_table import FILLED, StagingTable
from holded_pipeline.postgres.tables import is_business_events

OnConflict = Literal["ignore", "update", "reject"]
Keep = Literal["first", "last"]
StagingTables = tuple[StagingTable, TextStagingTable]

_DEPENDS_ON_OTHER_ROWS = {"foreign_key_violation", "no_data_found", "raise_exception"}
"""Reasons that may no longer hold once another row of the batch is stored."""
_RACES = 20
"""How often rows are tried again whose ids other writers took meanwhile. Each time another writer has committed."""


class TableLoader:
    """An open connection that loads one table. One per worker; not for sharing between threads.

    Args:
        db: the database.
        table: the table, which must exist.
        on_conflict: what happens to a row whose key is in the table already.
        keep: which of several rows with one key in one batch counts.
        same: with "ignore", the columns that a duplicate has in common with the stored row; others are in conflict.
        newer_by: with "update", the column whose greater value is the newer row.
        conflict_on: the name of a unique constraint or index, or the columns of one; None for the primary key.
        tells_duplicates: whether results have `duplicates_at`; the table is no view.
    """

    def __init__(
        self,
        db: Postgres,
        table: sa.Table,
        *,
        on_conflict: OnConflict,
        keep: Keep,
        same: Sequence[str] = (),
        newer_by: str | None = None,
        conflict_on: str | Sequence[str] | None = None,
        tells_duplicates: bool = False,
    ) -> None:
        self._db = db
        self._table = table
        self._on_conflict = on_conflict
        self._keep = keep
        self._row_format = RowFormat(table)
        # A ping before each use would not be bounded in time; a stale connection costs one more attempt.
        self._engine = db.engine(pool_size=1, max_overflow=1, pool_pre_ping=False)
        self._omissible: OmissibleColumns | None = None
        self._make_rows = partial(MergedRows, self._row_format, newer_by=newer_by, same=tuple(same))
        self._same = frozenset(same)
        self._conflict_on = conflict_on
        self._tells_duplicates = tells_duplicates
        self._known_facts: TableFacts | None = None
        self._may_be_by_month = is_business_events(table)
        only_its_definition_matters = not self._may_be_by_month and conflict_on is None and on_conflict != "update"
        if only_its_definition_matters:
            self._known_facts = TableFacts(primary_key(table))

    def close(self) -> None:
        """Closes the connection."""
        self._engine.dispose()

    def load_mixed(
        self, filled: Sequence[tuple[str, ...]], lines: Sequence[bytes], note: NoteLoad | None = None
    ) -> LoadResult:
        """Loads lines of rows that may have different columns; `filled` has the columns of each line.

        `note` is called at the end of each transaction, before it is committed.

        Raises:
            TransientError, ConfigurationError: as `load`.
        """
        if filled.count(filled[0]) == len(filled):
            return self.load(filled[0], lines, note)
        total = LoadResult()
        for columns, positions in group_by_columns(self._table, filled, self._omissible_columns().defaults).items():
            layout = LineLayout(self._table, columns)
            group_filled = [filled[position] for position in positions]
            group_lines = [layout.line(lines[position], filled[position]) for position in positions]
            total += self._load_group(columns, group_filled, group_lines, noted_at(note, positions)).at(positions)
        return attrs.evolve(total, rejected=tuple(sorted(total.rejected, key=itemgetter(0))))

    def _load_group(
        self,
        columns: tuple[str, ...],
        filled: Sequence[tuple[str, ...]],
        lines: Sequence[bytes],
        note: NoteLoad | None,
    ) -> LoadResult:
        """Loads lines that fill all of `columns`, by rows that have only `filled`."""
        sets = set(filled)
        omitted = [name for name in columns if any(name not in each for each in sets)]
        defaults = {name: sql for name in omitted if (sql := self._omissible_columns().defaults.get(name)) is not None}
        target = self._facts().target
        key = target.columns if target else ()
        names = staged_columns(self._table, columns)
        updates = self._on_conflict == "update" and set(key) <= set(names)
        compares = not self._same.isdisjoint(omitted)
        if not (defaults or compares or (updates and omitted)):
            return self.load(columns, lines, note)
        bits = {each: filled_bits(columns, each) for each in sets}
        marked = [b"%b\t%b" % (bits[each], line) for each, line in zip(filled, lines, strict=True)]
        staging = self._staging_tables_of(columns, defaults)
        if not updates:
            return self._load(staging, marked, note)
        total = LoadResult()
        keys = fields_at(lines, [names.index(name) for name in key])
        is_plain = self._omissible_columns().key_is_plain
        for positions in rounds_by_key(keys if is_plain else None, filled, in_order=self._keep == "last"):
            chosen = [marked[position] for position in positions]
            total += self._load(staging, chosen, noted_at(note, positions)).at(positions)
        return total

    def load(self, columns: Sequence[str], lines: Sequence[bytes], note: NoteLoad | None = None) -> LoadResult:
        """Loads lines that `RowFormat.line` made of rows with these columns.

        Raises:
            TransientError: the server did not answer within the deadline.
            ConfigurationError: a grant, the table, a column or a constraint is missing.
        """
        try:
            return self._load(self._staging_tables_of(columns), lines, note)
        except ConfigurationError:
            if not self._have_facts_changed():
                raise
            return self._load(self._staging_tables_of(columns), lines, note)  # the events were partitioned meanwhile

    def _have_facts_changed(self) -> bool:
        if not self._may_be_by_month:
            return False
        known, self._known_facts = self._known_facts, None
        return self._facts() != known

    def _load(self, staging: StagingTables, lines: Sequence[bytes], note: NoteLoad | None) -> LoadResult:
        # Rows 0 and 1 refer to each other, and row 2 is bad:
        #   first round, rows 0, 1, 2: none is good by itself; 0 and 1 are rejected as foreign_key_violation
        #   second round, rows 0, 1, whose reason depends on other rows: loaded together
        total = LoadResult()
        rejected: dict[int, RejectRecord] = {}
        positions: Sequence[int] = range(len(lines))
        races = 0
        while positions:
            result = self._load_positions(staging, lines, positions, note)
            total += attrs.evolve(result, rejected=())
            tried = set(positions)
            rejected = {position: each for position, each in rejected.items() if position not in tried}
            rejected |= dict(result.rejected)
            retry = [position for position in sorted(rejected) if rejected[position].reason in _DEPENDS_ON_OTHER_ROWS]
            # Without those that are not tried again, the rest may be good together.
            positions = retry if result.inserted + result.updated or len(retry) < len(tried) else ()
            if races < _RACES and (raced := [each for each in rejected if self._lost_race(rejected[each])]):
                races += 1
                positions = sorted({*positions, *raced})
        return total + LoadResult(rejected=tuple(sorted(rejected.items())))

    def _lost_race(self, rejection: RejectRecord) -> bool:
        return self._on_conflict != "reject" and is_taken_id(self._facts().target, rejection)

    def _load_positions(
        self, staging: StagingTables, lines: Sequence[bytes], positions: Sequence[int], note: NoteLoad | None
    ) -> LoadResult:
        """Loads the lines at some positions; where they are good only in part, each half by itself."""
        total = LoadResult()
        pending = [positions]
        while pending:
            chunk = pending.pop()
            try:
                result = self._load_chunk(staging, [lines[position] for position in chunk], noted_at(note, chunk))
            except RowRejectedError:
                middle = len(chunk) // 2
                pending += [chunk[middle:], chunk[:middle]]
            else:
                total += result.at(chunk)
        return total

    def _load_chunk(self, staging: StagingTables, lines: Sequence[bytes], note: NoteLoad | None) -> LoadResult:
        typed, texts = staging
        try:
            return self._run_transaction(typed.creates, typed.load, lines, note)
        except RowRejectedError as error:
            if error.rejection.reason == "insufficient_privilege":
                self._check_policies()
            if len(lines) == 1:
                return LoadResult(rejected=((0, error.rejection),))
        return self._run_transaction(texts.creates, texts.load_good_rows, lines, note)

    def _check_policies(self) -> None:
        target, updates = quote_table(self._table), self._on_conflict == "update"
        check = partial(check_policies, self._engine, self._db, target, updates=updates)
        call_postgres(self._db, lambda deadline: check(deadline=deadline))

    def _run_transaction(
        self, creates: str, load_lines: LoadLines, lines: Sequence[bytes], note: NoteLoad | None
    ) -> LoadResult:
        transaction = LoadTransaction(self._engine, creates, load_lines, note)
        return call_postgres(self._db, partial(transaction.run, lines))

    def _omissible_columns(self) -> OmissibleColumns:
        if self._omissible is None:
            target = self._facts().target
            query = partial(omissible_columns, self._engine, self._table, self._on_conflict, target)
            self._omissible = call_postgres(self._db, query)
        return self._omissible

    def _facts(self) -> TableFacts:
        if self._known_facts is None:
            query = partial(table_facts, self._engine, self._table, self._conflict_on)
            self._known_facts = call_postgres(self._db, query)
        return self._known_facts

    def _staging_tables_of(self, columns: Sequence[str], defaults: Mapping[str, str] | None = None) -> StagingTables:
        """Those for rows with these columns; with `defaults`, for rows that may omit some (see `MergedRows`)."""
        target = quote_table(self._table)
        names = tuple(quote_name(name) for name in staged_columns(self._table, columns))
        # No table of the user's has the name; nor one that an older version left in a session of a pooler.
        digest = hashlib.sha256("\0".join(("dropped", target, *names)).encode()).hexdigest()[:16]
        key_is_plain = defaults is not None and self._omissible_columns().key_is_plain
        rows = self._make_rows(tuple(columns), self._facts(), defaults, key_is_plain)
        merge = partial(merge_statement, rows, target, on_conflict=self._on_conflict, keep=self._keep)
        find = partial(find_conflicts, rows, target)
        changed = partial(find_changed, rows, target, self._keep) if self._tells_duplicates else None
        filled = names if defaults is None else (FILLED, *names)
        return (
            StagingTable(f"holded_stage_{digest}", target, filled, merge, find, changed),
            TextStagingTable(f"holded_texts_{digest}", target, filled, merge, find, changed),
        )
