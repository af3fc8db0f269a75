"""Checks of the database: it answers, and the tables are there or can be created. Nothing is changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from holded_pipeline.cli.checks.clocks import require_same_time
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres import run_tables  # noqa: F401  it adds its tables to the metadata
from holded_pipeline.postgres.migrate import VERSION_TABLE
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.tables import metadata
from holded_pipeline.postgres.time_limit import Deadline

_OLDEST: Final = 130_000
_GRANTS: Final = ("SELECT", "INSERT", "UPDATE")


def check_database(db: Postgres) -> str:
    """The server answers, and is not too old."""
    number, version, user = _one_row(db, "SELECT current_setting('server_version_num')::int, version(), current_user")
    if number < _OLDEST:
        raise ConfigurationError(f"{db} is {version}; PostgreSQL 13 or newer is needed")
    return f"{db}, {' '.join(version.split()[:2])}, user {user}"


def check_database_clock(db: Postgres) -> str:
    """The database's clock and the one here agree: leases and the states of runs go by the database's."""
    (there,) = _one_row(db, "SELECT clock_timestamp()")
    return require_same_time(str(db), there, datetime.now(UTC))


def check_tables(db: Postgres) -> str:
    """The tables are there with their grants, or can be created."""
    (version_table,) = _one_row(db, f"SELECT to_regclass('{VERSION_TABLE}')::text")
    schema, may_create = _one_row(
        db, "SELECT current_schema(), coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
    )
    if schema is None:
        raise ConfigurationError(f"{db}: no schema of the search path exists; create one, or set search_path")
    missing = [table.name for table in metadata.sorted_tables if not _exists(db, table.name)]
    if version_table is None or missing:
        if not may_create:
            raise ConfigurationError(
                f"{db}: the table {(missing or [VERSION_TABLE])[0]} is missing, and this user may create none in the "
                f"schema {schema}; GRANT CREATE ON SCHEMA {schema} to it, or run holded_pipeline.migrate as its owner"
            )
        return f"the first run creates them in the schema {schema}"
    for table in metadata.sorted_tables:
        _require_grants(db, table.name)
    return f"{len(metadata.sorted_tables)} tables in the schema {schema}"


def _exists(db: Postgres, table: str) -> bool:
    return _one_row(db, "SELECT to_regclass(:table) IS NOT NULL", table=table)[0] is True


def _require_grants(db: Postgres, table: str) -> None:
    for grant in _GRANTS:
        if _one_row(db, "SELECT has_table_privilege(:table, :grant)", table=table, grant=grant)[0] is not True:
            raise ConfigurationError(
                f"{db}: this user has no {grant} on the table {table}; GRANT {', '.join(_GRANTS)} ON {table} to it"
            )


def _one_row(db: Postgres, sql: str, **parameters: str) -> tuple[Any, ...]:
    """The one row of a query."""
    engine = db.engine(poolclass=sa.NullPool)

    def attempt(deadline: Deadline) -> tuple[Any, ...]:
        with deadline.time_limit().connect(engine) as connection:
            return tuple(connection.execute(sa.text(sql), parameters).one())

    return call_postgres(db, attempt)
