"""Rows that fill different columns, arranged into as few sets of columns as give the same rows.

A column without any default is NULL where a row omits it, so on an insert a row that omits it is the same as a row
with NULL in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import sqlalchemy as sa

from holded_pipeline.postgres.column_defaults import client_default_columns
from holded_pipeline.postgres.dialect import quote_table
from holded_pipeline.postgres.time_limit import Deadline

# Not of a view, whose table may have defaults, nor of a table with rules, which may read what a statement names. A
# domain may have a default too.
_WITHOUT_DEFAULT = """
SELECT attname FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    JOIN pg_type ON pg_type.oid = atttypid
WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped
    AND NOT atthasdef AND attidentity = '' AND typtype <> 'd' AND relkind IN ('r', 'p') AND NOT relhasrules"""


def optional_columns(engine: sa.Engine, table: sa.Table, deadline: Deadline) -> frozenset[str]:
    """The columns outside the key that are NULL in rows that omit them: no default in the database nor in `table`."""
    with deadline.time_limit().connect(engine) as connection:
        found = connection.execute(sa.text(_WITHOUT_DEFAULT), {"table": quote_table(table)}).scalars().all()
    declared = {column.name for column in table.columns if column.default is None and not column.primary_key}
    return frozenset(found) & declared


def staged_columns(table: sa.Table, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a row's line fills: those that it has, then those with a Python default."""
    return (*columns, *(column.name for column in client_default_columns(table, columns)))


def group_by_columns(
    table: sa.Table, filled: Sequence[tuple[str, ...]], optional: AbstractSet[str]
) -> dict[tuple[str, ...], list[int]]:
    """Positions of rows that can be loaded as rows with the same columns, by these columns.

    Args:
        table: the table.
        filled: for each row, the columns that it has.
        optional: the columns that a row may as well fill with NULL.
    """
    # Table t (k int, a int, b int, c int DEFAULT 7), where a and b are optional:
    #
    #   [("k", "a"), ("k", "b"), ("k", "c")]  ->  {("k", "a", "b"): [0, 1], ("k", "c"): [2]}
    groups: dict[tuple[str, ...], tuple[set[str], list[int]]] = {}
    required: dict[tuple[str, ...], tuple[str, ...]] = {}
    for position, columns in enumerate(filled):
        if columns not in required:
            required[columns] = tuple(sorted(set(staged_columns(table, columns)) - optional))
            groups.setdefault(required[columns], (set(), []))[0].update(columns)
        groups[required[columns]][1].append(position)
    return {
        tuple(column.name for column in table.columns if column.name in names): positions
        for names, positions in groups.values()
    }


class LineLayout:
    """Writes lines of rows with fewer columns as lines of rows with some columns, NULL in the others.

    Args:
        table: the table.
        columns: of the rows to be written; those that a row lacks must be optional.
    """

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        self._table = table
        self._staged = staged_columns(table, columns)
        self._sources: dict[tuple[str, ...], list[int] | None] = {}

    def line(self, line: bytes, columns: tuple[str, ...]) -> bytes:
        """The line of a row, which has `columns`."""
        # For ("k", "a", "b") the line b"1\t5\n" with ("k", "b") is b"1\t\\N\t5\n". No value has a tab that ends none.
        if columns not in self._sources:
            self._sources[columns] = self._sources_of(columns)
        sources = self._sources[columns]
        if sources is None:
            return line
        values = [*line[:-1].split(b"\t"), b"\\N"]
        return b"\t".join([values[source] for source in sources]) + b"\n"

    def _sources_of(self, columns: tuple[str, ...]) -> list[int] | None:
        given = staged_columns(self._table, columns)
        if given == self._staged:
            return None
        places = {name: place for place, name in enumerate(given)}
        return [places.get(name, -1) for name in self._staged]
