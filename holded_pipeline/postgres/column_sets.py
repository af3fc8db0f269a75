"""Rows that fill different columns, arranged into as few sets of columns as give the same rows.

On an insert, a row that omits a column is the same as a row with the column's default in it, or with NULL where there
is no default. A bit for each column says what a row omits.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.column_defaults import client_default_columns, sql_defaults
from holded_pipeline.postgres.conflict_target import ConflictTarget
from holded_pipeline.postgres.dialect import quote_table
from holded_pipeline.postgres.time_limit import Deadline

# The default is cast to its column's type without a length: the insert checks the length, and a cast would cut the
# value. Not of a view, whose table may have other defaults, nor of a table with rules, which may read what a statement
# names, nor of what the database generates. A domain may have a default of its own.
_OMISSIBLE = """
SELECT attname, pg_get_expr(adbin, adrelid), format_type(atttypid, -1) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped
    AND attgenerated = '' AND attidentity = '' AND typtype <> 'd' AND relkind IN ('r', 'p') AND NOT relhasrules"""

# Triggers that see which columns an update sets, or may change the key of a row before it is inserted.
_NO_TRIGGER = """
    AND relkind = 'r' AND NOT EXISTS (
        SELECT FROM pg_trigger
        WHERE tgrelid = attrelid AND NOT tgisinternal AND (CAST(tgattr AS text) <> '' OR (tgtype & 7) = 7)
    )"""


# Their text is the value, in whatever session.
_PLAIN_TYPES = {"smallint", "integer", "bigint", "text", "character varying", "uuid"}


@attrs.frozen
class OmissibleColumns:
    """What rows of one merge may omit.

    Attributes:
        defaults: the columns outside the key that only some of the rows need to have; for each the SQL of its default,
            in the database or in the definition of the table, or None where it has none.
        key_is_plain: equal texts of the key are equal keys.
    """

    defaults: Mapping[str, str | None]
    key_is_plain: bool


def omissible_columns(
    engine: sa.Engine, table: sa.Table, on_conflict: str, target: ConflictTarget | None, deadline: Deadline
) -> OmissibleColumns:
    """Asks the database.

    For an update, none of a table that might notice that an update sets a column to the value that it has. And none
    where what rows conflict on is more than the values of columns (see `ConflictTarget.is_plain`).
    """
    if target is not None and not target.is_plain:
        return OmissibleColumns({}, key_is_plain=False)
    query = _OMISSIBLE + (_NO_TRIGGER if on_conflict == "update" else "")
    with deadline.time_limit().connect(engine) as connection:
        found = connection.execute(sa.text(query), {"table": quote_table(table)}).all()
    declared = sql_defaults(table, ())
    client = {column.name for column in client_default_columns(table, ())}  # in each line
    primary = {column.name for column in table.primary_key.columns}
    key = primary if target is None else set(target.columns)
    outside = {column.name for column in table.columns} - primary - key - client
    defaults = {
        name: None if (sql := declared.get(name, default)) is None else f"CAST(({sql}) AS {kind})"
        for name, default, kind in found
        if name in outside
    }
    return OmissibleColumns(defaults, key <= {name for name, _, kind in found if kind in _PLAIN_TYPES})


def staged_columns(table: sa.Table, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a row's line fills: those that it has, then those with a Python default."""
    return (*columns, *(column.name for column in client_default_columns(table, columns)))


def group_by_columns(
    table: sa.Table, filled: Sequence[tuple[str, ...]], omissible: Container[str]
) -> dict[tuple[str, ...], list[int]]:
    """Positions of rows that can be loaded as rows with the same columns, by these columns.

    Args:
        table: the table.
        filled: for each row, the columns that it has.
        omissible: the columns that only some rows need to have.
    """
    # Table t (k int, a int, b int, c int GENERATED ...), where a and b are omissible:
    #
    #   [("k", "a"), ("k", "b"), ("k", "c")]  ->  {("k", "a", "b"): [0, 1], ("k", "c"): [2]}
    groups: dict[tuple[str, ...], tuple[set[str], list[int]]] = {}
    required: dict[tuple[str, ...], tuple[str, ...]] = {}
    for position, columns in enumerate(filled):
        if columns not in required:
            required[columns] = tuple(sorted(name for name in staged_columns(table, columns) if name not in omissible))
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
        columns: of the rows to be written; those that a row lacks must be omissible.
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


def filled_bits(columns: Sequence[str], filled: Sequence[str]) -> bytes:
    """A bit for each of some columns: whether a row has it."""
    # ("k", "a", "b") with ("k", "b")  ->  b"101"
    return b"".join(b"1" if name in filled else b"0" for name in columns)


def fields_at(lines: Sequence[bytes], places: Sequence[int]) -> list[bytes]:
    """What each line has at some places."""
    # b"1\t2\t3\n" at [2, 0]  ->  b"3\t1"
    fields = [line[:-1].split(b"\t", max(places) + 1) for line in lines]
    return [b"\t".join([values[place] for place in places]) for values in fields]


def rounds_by_key(
    keys: Sequence[bytes] | None, filled: Sequence[tuple[str, ...]], *, in_order: bool
) -> list[list[int]]:
    """Positions of rows in rounds, so that rows of a round with the same key have the same columns.

    Rows that update different columns of one row all count.

    Args:
        keys: of the rows; None if their texts do not tell which are equal.
        filled: the columns of each row.
        in_order: whether rows of one key must be loaded in their order, since the last one counts.
    """
    if keys is None:  # any two rows may have the same key
        keys, in_order = [b""] * len(filled), False
    # keys b"1", b"2", b"1", b"1" with columns "a", "a", "b", "a"  ->  [[0, 1, 3], [2]], in order [[0, 1], [2], [3]]
    elif len(set(keys := [_key_to_compare(key) for key in keys])) == len(keys):
        return [list(range(len(keys)))]
    rounds: list[list[int]] = []
    seen: dict[bytes, dict[tuple[str, ...], int]] = {}
    for position, (key, columns) in enumerate(zip(keys, filled, strict=True)):
        sets = seen.setdefault(key, {})
        if in_order and columns not in sets and sets:
            latest = max(sets.values())
            sets.clear()
            sets[columns] = latest + 1
        number = sets.setdefault(columns, len(sets))
        while number >= len(rounds):
            rounds.append([])
        rounds[number].append(position)
    return rounds


def _key_to_compare(key: bytes) -> bytes:
    """The same for all texts of one key. Different keys may have the same: that costs a round more."""
    return key.lower().replace(b"-", b"").strip(b" {}").lstrip(b"+0")  # a UUID in capitals, an integer such as 01
