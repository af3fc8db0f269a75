"""The staging table of a load: lines are copied into it, and merged from there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import attrs

from holded_pipeline.postgres.copy_lines import copy_lines
from holded_pipeline.postgres.load_transaction import Cursor, FindChanged, FindConflicts, LoadResult
from holded_pipeline.postgres.row_errors import row_errors

FILLED = "hp$filled"
"""The column that says which columns a row fills, where rows of several sets are loaded together."""


@attrs.frozen
class StagingTable:
    """A temporary table with the types of the target, for lines that fill some of its columns.

    It lives as long as one transaction: a session that a pooler gives to somebody else has none of it, and its types
    are those that the target has now.

    Attributes:
        name: of the temporary table.
        target: the table that the rows are for, quoted.
        columns: those that the lines fill, quoted.
        merge: makes the merge statement from the FROM item that its rows come from.
        find_conflicts: among the rows that were merged.
        find_changed: the rows that were inserted or updated; None if nobody asks which are duplicates.
    """

    name: str
    target: str
    columns: tuple[str, ...]
    merge: Callable[[str], str]
    find_conflicts: FindConflicts
    find_changed: FindChanged | None = None

    @property
    def creates(self) -> str:
        """The statement that creates it, at the beginning of a transaction."""
        # The target's types without its constraints, which the merge checks. What the target's own settings say of
        # compression is done once, when its rows are written: here no row of up to a page is compressed.
        return (
            f"CREATE TEMPORARY TABLE {self.name} WITH (toast_tuple_target = 8160) ON COMMIT DROP AS "
            "SELECT 0::bigint AS hp$position, ''::varbit AS hp$filled, "
            f"{', '.join(name for name in self.columns if name != FILLED)} FROM {self.target} WITH NO DATA"
        )

    def load(self, cursor: Cursor, lines: Sequence[bytes]) -> LoadResult:
        """Loads all of the lines, into the table that was created in this transaction.

        Raises:
            RowRejectedError: PostgreSQL rejects one of them.
        """
        with row_errors(len(lines)):
            copy_lines(cursor, self.name, self.columns, lines)
            cursor.execute(f"{self.merge(self.name)}; SET CONSTRAINTS ALL IMMEDIATE")
            inserted, touched = cursor.fetchone()
            conflicts = self.find_conflicts(cursor, self.name) if touched < len(lines) else ()
            others = {position for position, _ in conflicts}
            if touched < len(lines) and self.find_changed is not None:
                others |= self.find_changed(cursor, self.name)
        duplicates = len(lines) - touched - len(conflicts)
        found = duplicate_positions(range(len(lines)), others, duplicates)
        return LoadResult(inserted, touched - inserted, duplicates, conflicts, found)


def duplicate_positions(merged: Iterable[int], others: Collection[int], duplicates: int) -> tuple[int, ...]:
    """The merged positions without others, if those are all the duplicates; none where nobody asked which they are."""
    found = tuple(position for position in merged if position not in others) if duplicates else ()
    return found if len(found) == duplicates else ()
