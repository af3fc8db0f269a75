"""`evolve`: what differs between a SQLAlchemy table and the one in the database, and the changes that lose nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import psycopg
import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn, CreateTable

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.dialect import DIALECT, stored_name
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.sqlstate import driver_error
from holded_pipeline.postgres.stored_columns import StoredColumn, declared_kinds, stored_columns
from holded_pipeline.postgres.time_limit import Deadline

_NAMES = DIALECT.identifier_preparer
_LOCK = 0x686F_6C64_6576  # every process that evolves a table takes this advisory lock
_INTEGERS = ("smallint", "integer", "bigint")
_NUMERIC = re.compile(r"numeric(\(\d+,\d+\))?")
_VARCHAR = re.compile(r"character varying(?:\((?P<length>\d+)\))?")


@attrs.frozen
class TableDifference:
    """One difference between a SQLAlchemy table and the table in the database.

    Attributes:
        table: the table's name.
        column: the column's name; None for the table itself.
        message: what differs, and what to do where `sql` is None.
        sql: the statements that change the table; None where it is left to you.
        applied: whether they were run.
    """

    table: str
    column: str | None
    message: str
    sql: tuple[str, ...] | None = None
    applied: bool = False

    def __str__(self) -> str:
        place = self.table if self.column is None else f"{self.table}.{self.column}"
        if self.sql is None:
            return f"{place}: {self.message}"
        verb = "done" if self.applied else "would run"
        return f"{place}: {self.message}; {verb}: {'; '.join(self.sql)}"


def evolve(db: Postgres, table: sa.Table, *, apply: bool = False) -> list[TableDifference]:
    """Compares a SQLAlchemy table with the table in the database, prints each difference, and changes it on request.

    With `apply`, the table is created where there is none, columns that may be NULL are added, and types are widened:
    `smallint` to `integer` to `bigint` to `numeric`, `varchar(n)` to a longer one or to `text`, `numeric(p, s)` to
    `numeric`. Everything else is printed and left to you.

    Args:
        db: the database.
        table: the table as it should be.
        apply: whether the table is changed. Without it, nothing is.

    Returns:
        Every difference that there was; an empty list where there is none.

    Raises:
        ConfigurationError: a grant is missing, or PostgreSQL refuses a change, such as of a column that a view uses.
        TransientError: the server did not answer within `db.retry`, or something else held the table's lock so long.

    Example:
        >>> import sqlalchemy as sa
        >>> orders = sa.Table("orders", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))
        >>> created = hp.evolve(db, orders, apply=True)
        orders: the database has no such table; done: CREATE TABLE orders ( id TEXT NOT NULL, PRIMARY KEY (id) )
        >>> orders.append_column(sa.Column("note", sa.Text))
        >>> differences = hp.evolve(db, orders)
        orders.note: the database has no such column; would run: ALTER TABLE orders ADD COLUMN IF NOT EXISTS note TEXT

    **Guarantees:** nothing is dropped, narrowed or made stricter, so no stored value changes and no row that loaded
    before is rejected. All changes are made or none. Safe to repeat, and to call from many processes at once. A widened
    integer column is rewritten under a lock that readers wait for; other changes take no longer for a large table.
    """
    engine = db.engine(poolclass=sa.NullPool)
    changed: list[TableDifference] = []  # by an attempt that may have been committed, though its answer was lost

    def attempt(deadline: Deadline) -> list[TableDifference]:
        limit = deadline.time_limit()
        with limit.connect(engine) as connection, connection.begin():
            connection.exec_driver_sql(limit.set_timeouts_sql("lock_timeout"))
            if apply:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            found = _differences(connection, table)
            places = {(each.column, each.message) for each in found}
            committed = [each for each in changed if (each.column, each.message) not in places]
            done = [_applied(connection, table, each) for each in found] if apply else found
            changed[:] = committed + [each for each in done if each.applied]
            return committed + done

    differences = call_postgres(db, attempt)
    for difference in differences:
        print(difference)  # noqa: T201  it is asked for
    return differences


def _applied(connection: sa.Connection, table: sa.Table, difference: TableDifference) -> TableDifference:
    if difference.sql is None:
        return difference
    if difference.column is None:
        table.create(connection)  # with its indexes and types
        return attrs.evolve(difference, applied=True)
    for statement in difference.sql:
        try:
            connection.exec_driver_sql(statement.replace("%", "%%"))
        except sa.exc.DBAPIError as error:
            cause = driver_error(error)
            if isinstance(cause, psycopg.errors.FeatureNotSupported | psycopg.errors.DependentObjectsStillExist):
                raise ConfigurationError(
                    f"PostgreSQL refuses {statement}: {cause.diag.message_primary} "
                    f"({cause.diag.message_detail}); drop what uses the column, evolve, and make it again"
                ) from error
            raise
    return attrs.evolve(difference, applied=True)


def _differences(connection: sa.Connection, table: sa.Table) -> list[TableDifference]:
    stored = stored_columns(connection, table)
    if stored is None:
        created = str(CreateTable(table).compile(dialect=DIALECT))
        statement = " ".join(created.split())
        return [TableDifference(table.name, None, "the database has no such table", (statement,))]
    kinds = declared_kinds(connection, table)
    found: list[TableDifference] = []
    for column in table.columns:
        found += _of_column(column, stored, kinds.get(column.name))
    declared = {stored_name(column.name) for column in table.columns}
    for name, there in stored.items():
        if name not in declared:
            filled = "it gets its default" if there.nullable or there.has_default else "every row will be rejected"
            found.append(TableDifference(table.name, name, f"only the database has this column; {filled}"))
    return found + list(_of_key(table, stored))


def _of_column(
    column: sa.Column[Any], stored: Mapping[str, StoredColumn], kind: str | None
) -> Iterator[TableDifference]:
    table, name = column.table, column.name
    there = stored.get(stored_name(name))
    if there is None:
        yield _missing_column(column)
        return
    if kind is not None and there.kind != kind:
        message = f"it is {there.kind} in the database and {kind} in the table"
        if _is_wider(kind, there.kind):
            yield TableDifference(table.name, name, message, _widen(column, kind, there))
        else:
            advice = "is never narrowed" if _is_wider(there.kind, kind) else "cannot be widened to that"
            yield TableDifference(table.name, name, f"{message}, and {advice}; change the table, or alter it yourself")
    if there.nullable and not column.nullable:
        message = "it may be NULL in the database and not in the table; SET NOT NULL is left to you"
        yield TableDifference(table.name, name, message)
    elif column.nullable and not there.nullable:
        message = "it may be NULL in the table, and the database rejects such rows; DROP NOT NULL is left to you"
        yield TableDifference(table.name, name, message)


def _missing_column(column: sa.Column[Any]) -> TableDifference:
    table, message = column.table, "the database has no such column"
    if not column.nullable or column.primary_key:
        advice = "and one that is NOT NULL or a key cannot be added to stored rows; add it yourself, with a default"
        return TableDifference(table.name, column.name, f"{message}, {advice}")
    if column.foreign_keys or column.unique or column.index:
        message += "; its foreign key, unique constraint or index is left to you"
    definition = str(CreateColumn(column).compile(dialect=DIALECT))
    sql = f"ALTER TABLE {_NAMES.format_table(table)} ADD COLUMN IF NOT EXISTS {definition}"
    return TableDifference(table.name, column.name, message, (sql,))


def _of_key(table: sa.Table, stored: Mapping[str, StoredColumn]) -> Iterator[TableDifference]:
    declared = {stored_name(column.name) for column in table.primary_key.columns}
    there = {name for name, column in stored.items() if column.is_key}
    if declared != there:
        listed = ", ".join(sorted(there)) or "no column"
        message = f"its key is {listed} in the database and {', '.join(sorted(declared)) or 'no column'} in the table"
        yield TableDifference(table.name, None, f"{message}; change one of them yourself")


def _widen(column: sa.Column[Any], kind: str, there: StoredColumn) -> tuple[str, ...]:
    table = _NAMES.format_table(column.table)
    statements = [f"ALTER TABLE {table} ALTER COLUMN {_NAMES.quote(column.name)} TYPE {kind}"]
    if there.sequence is not None and kind in _INTEGERS:
        statements.append(f"ALTER SEQUENCE {there.sequence} AS {kind}")  # else it ends where the old type did
    return tuple(statements)


def _is_wider(wide: str, narrow: str) -> bool:
    """Whether every value of `narrow` is a value of `wide`, and reads the same."""
    if narrow in _INTEGERS:
        return wide == "numeric" or (wide in _INTEGERS and _INTEGERS.index(wide) > _INTEGERS.index(narrow))
    if _NUMERIC.fullmatch(narrow):
        return wide == "numeric" and narrow != wide
    text = _VARCHAR.fullmatch(narrow)
    if text is None:
        return False
    longer = _VARCHAR.fullmatch(wide)
    if longer is None or text["length"] is None:
        return wide == "text"
    return longer["length"] is None or int(longer["length"]) > int(text["length"])
