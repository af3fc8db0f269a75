"""What makes two rows one: the primary key, or another unique constraint or index, found in the database's catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.dialect import quote_name, quote_table
from holded_pipeline.postgres.tables import is_business_events
from holded_pipeline.postgres.time_limit import Deadline

# Of each unique index: its name, the columns of its key (NULL for an expression), its key as SQL, all columns that it
# reads (not of a constraint), its condition, whether NULL equals NULL, and whether it is checked at the commit only.
_UNIQUE_INDEXES = """
SELECT relname,
    ARRAY(
        SELECT CAST(attname AS text) FROM generate_series(0, indnkeyatts - 1) AS place
        LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[place] AND attnum > 0 ORDER BY place
    ),
    ARRAY(SELECT pg_get_indexdef(indexrelid, place, true) FROM generate_series(1, indnkeyatts) AS place ORDER BY place),
    ARRAY(
        SELECT DISTINCT CAST(attname AS text) FROM pg_depend
        JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid AND attnum > 0
        WHERE classid = CAST('pg_class' AS regclass) AND objid = indexrelid AND refobjid = indrelid
    ),
    pg_get_expr(indpred, indrelid),
    coalesce(CAST(to_jsonb(pg_index) ->> 'indnullsnotdistinct' AS boolean), false), -- since PostgreSQL 15
    NOT indimmediate
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = CAST(:table AS regclass) AND indisunique AND indisvalid
ORDER BY indpred IS NOT NULL, relname"""

# What an insert stores in a column that a row omits. What the database generates is not known before.
_DEFAULTS = """
SELECT attname, CASE WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid) END, format_type(atttypid, -1)
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped"""

_FACTS = """
SELECT relkind, CAST(current_setting('server_version_num') AS int), to_regclass(:ids) IS NOT NULL
FROM pg_class WHERE oid = CAST(:table AS regclass)"""

_RETURNS_OLD = 180_000  # the first version whose RETURNING has the old row


@attrs.frozen
class ConflictTarget:
    """What an insert conflicts on.

    Attributes:
        columns: those that identify a row; a row that omits one identifies none.
        keys: the parts of the key as SQL: columns, or expressions in parentheses.
        condition: of a partial index, as SQL; rows that do not meet it conflict with none.
        nulls_conflict: whether NULL equals NULL; otherwise a row with NULL in its key conflicts with none.
        is_primary: it is the primary key, which has no NULL.
        defaults: what is stored in columns that a row omits, as SQL; only where `condition` or `keys` may read them.
        ids: the table that keeps the key unique over the partitions of its table, quoted; None of any other table.
            It has the columns of the key and `partition_key`.
        partition_key: with `ids`, the column that the primary key has besides the key, quoted.
    """

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    condition: str | None = None
    nulls_conflict: bool = False
    is_primary: bool = False
    defaults: Mapping[str, str] = attrs.field(factory=dict)
    ids: str | None = None
    partition_key: str = ""

    @property
    def is_plain(self) -> bool:
        """The key consists of columns, and each row that has them conflicts by them alone."""
        named = tuple(quote_name(name) for name in self.columns)
        return self.condition is None and not self.nulls_conflict and self.keys == named

    @property
    def inferred(self) -> str:
        """What ON CONFLICT names."""
        where = "" if self.condition is None else f" WHERE {self.condition}"
        return f"({', '.join(self.keys if self.ids is None else (*self.keys, self.partition_key))}){where}"

    @property
    def lookup(self) -> tuple[str, ...]:
        """The columns by which a row that may be stored is looked up, quoted."""
        named = tuple(quote_name(name) for name in self.columns)
        return named if self.ids is None else (*named, self.partition_key)

    def can_conflict(self, values: Mapping[str, str]) -> str | None:
        """Whether a row may conflict at all, as SQL; None where each may. `values` are what is inserted, quoted."""
        tests = [] if self.is_primary or self.nulls_conflict else [f"({key}) IS NOT NULL" for key in self.keys]
        if self.condition is not None:
            tests.append(f"({self.condition})")
        if not tests:
            return None
        if not self.defaults:
            return " AND ".join(tests)
        # The condition may read columns that the row omits: it is asked of the row as it is stored.
        stored = {quote_name(name): sql for name, sql in self.defaults.items()} | dict(values)
        row = ", ".join(f"{sql} AS {name}" for name, sql in stored.items())
        return f"(SELECT {' AND '.join(tests)} FROM (SELECT {row} OFFSET 0) AS stored_row)"


def primary_key(table: sa.Table) -> ConflictTarget | None:
    """The primary key; None of a table without one."""
    columns = tuple(column.name for column in table.primary_key.columns)
    return ConflictTarget(columns, tuple(map(quote_name, columns)), is_primary=True) if columns else None


_IDS = quote_name("business_event_ids")
_EVENT_ID = ConflictTarget(
    ("event_id",), (quote_name("event_id"),), is_primary=True, ids=_IDS, partition_key=quote_name("occurred_at")
)
"""What events conflict on where they are in partitions by month; see `migrations/versions/0004_events_by_month.sql`."""


@attrs.frozen
class TableFacts:
    """What the merge has to know of a table in the database.

    Attributes:
        target: what an insert conflicts on.
        updates_have_xmax: a row that an upsert returns tells by `xmax` whether it was updated.
        returns_old: the server's RETURNING has the row as it was before.
    """

    target: ConflictTarget | None
    updates_have_xmax: bool = True
    returns_old: bool = False


def table_facts(
    engine: sa.Engine, table: sa.Table, conflict_on: str | Sequence[str] | None, deadline: Deadline
) -> TableFacts:
    """Asks the database.

    Args:
        engine: of the database.
        table: the table.
        conflict_on: the name of a unique constraint or index, or the columns of one; None for the primary key.
        deadline: of the query.

    Raises:
        ConfigurationError: the table has no such constraint or index, or a conflict cannot be found by it.
    """
    where = {"table": quote_table(table)}
    with deadline.time_limit().connect(engine) as connection:
        kind, version, has_ids = connection.execute(sa.text(_FACTS), where | {"ids": _IDS}).one()
        by_month = is_business_events(table) and kind == "p" and has_ids
        facts = TableFacts(_EVENT_ID if by_month else primary_key(table), kind == "r", version >= _RETURNS_OLD)
        if conflict_on is None:
            return facts
        indexes = connection.execute(sa.text(_UNIQUE_INDEXES), where).all()
        defaults = connection.execute(sa.text(_DEFAULTS), where).all()
    target = _find_target(table.name, indexes, conflict_on)
    if not target.is_plain:
        read = {
            name: f"CAST(({sql or 'NULL'}) AS {each})" for name, sql, each in defaults if name not in target.columns
        }
        target = attrs.evolve(target, defaults=read)
    return attrs.evolve(facts, target=target)


def _find_target(table: str, indexes: Sequence[Any], conflict_on: str | Sequence[str]) -> ConflictTarget:
    # A name, or columns in any order; where several indexes have them, the first without a condition.
    for name, columns, parts, read, condition, nulls_conflict, is_deferrable in indexes:
        named = [column for column in columns if column is not None]
        if name != conflict_on and not _same_names(columns, conflict_on):
            continue
        if is_deferrable:
            raise ConfigurationError(
                f"conflict_on names {name} of {table}, which is DEFERRABLE: PostgreSQL finds no conflict by it. "
                "Name another, or make it NOT DEFERRABLE"
            )
        keys = [
            f"({part})" if column is None else quote_name(column) for column, part in zip(columns, parts, strict=True)
        ]
        return ConflictTarget(
            tuple(named if len(named) == len(columns) else read), tuple(keys), condition, nulls_conflict
        )
    known = "; ".join(f"{name} ({', '.join(parts)})" for name, _, parts, *_ in indexes) or "none"
    raise ConfigurationError(
        f"{table} has no unique constraint or index {conflict_on!r}, which conflict_on names; it has: {known}"
    )


def _same_names(columns: Sequence[str | None], wanted: str | Sequence[str]) -> bool:
    wanted = [wanted] if isinstance(wanted, str) else wanted
    return None not in columns and sorted(map(str, columns)) == sorted(wanted)
