"""The columns of a table as they are in the database, and as a SQLAlchemy table declares them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.dialect import DIALECT, quote_table, stored_name
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.time_limit import Deadline

_STORED = """
SELECT attname, format_type(atttypid, atttypmod) AS kind, NOT attnotnull AS nullable,
    atthasdef OR attidentity <> '' AS has_default, attnum = ANY (coalesce(conkey, '{}')) AS is_key,
    pg_get_serial_sequence(CAST(CAST(:table AS regclass) AS text), attname) AS sequence
FROM pg_attribute LEFT JOIN pg_constraint ON conrelid = attrelid AND contype = 'p'
WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum"""


@attrs.frozen
class StoredColumn:
    """A column in the database.

    Attributes:
        kind: its type, as PostgreSQL writes it: `character varying(20)`.
        nullable: whether it may be NULL.
        has_default: whether the database fills it where a row omits it.
        is_key: whether it is in the primary key.
        sequence: the sequence that numbers it, as SQL; None for none.
    """

    kind: str
    nullable: bool
    has_default: bool
    is_key: bool
    sequence: str | None


def stored_columns(connection: sa.Connection, table: sa.Table) -> dict[str, StoredColumn] | None:
    """The columns of a table in the database, by name; None where there is no such table."""
    name = {"table": quote_table(table)}
    if connection.execute(sa.text("SELECT to_regclass(:table)"), name).scalar() is None:
        return None
    rows = connection.execute(sa.text(_STORED), name)
    return {name: StoredColumn(*values) for name, *values in rows}


def declared_kinds(connection: sa.Connection, table: sa.Table) -> Mapping[str, str]:
    """The types of a SQLAlchemy table's columns, as PostgreSQL writes them; without those that have no type.

    The server itself reads the types, in a temporary table that is dropped at once: `VARCHAR(20)` and
    `character varying(20)` are one type.
    """
    columns = [column for column in table.columns if not isinstance(column.type, sa.types.NullType)]
    types = ", ".join(f"c{number} {column.type.compile(dialect=DIALECT)}" for number, column in enumerate(columns))
    connection.exec_driver_sql("DROP TABLE IF EXISTS pg_temp.hp$declared")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE hp$declared ({types.replace('%', '%%')}) ON COMMIT DROP")
    kinds = connection.exec_driver_sql(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = CAST('pg_temp.hp$declared' AS regclass) AND attnum > 0 ORDER BY attnum"
    ).scalars()
    found = {column.name: kind for column, kind in zip(columns, kinds, strict=True)}
    connection.exec_driver_sql("DROP TABLE pg_temp.hp$declared")
    return found


def missing_columns(db: Postgres, table: sa.Table) -> frozenset[str]:
    """The columns of a SQLAlchemy table that the table in the database lacks; none where there is no table.

    Raises:
        TransientError: the server did not answer within `db.retry`.
        ConfigurationError: the database cannot be used as it is set up.
    """
    engine = db.engine(poolclass=sa.NullPool)
    return call_postgres(db, partial(_missing, engine, table))


def _missing(engine: sa.Engine, table: sa.Table, deadline: Deadline) -> frozenset[str]:
    with deadline.time_limit().connect(engine) as connection:
        found = connection.execute(
            sa.text("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:table) AND NOT attisdropped"),
            {"table": quote_table(table)},
        ).scalars()
        stored = set(found)
    if not stored:
        return frozenset()
    return frozenset(column.name for column in table.columns if stored_name(column.name) not in stored)
