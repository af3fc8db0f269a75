"""PostgreSQL's dialect of SQLAlchemy: how types and names are written as SQL."""

from __future__ import annotations

import sqlalchemy as sa

# In the driver's own paramstyle SQLAlchemy would double each %; our statements have no parameters.
DIALECT = sa.make_url("postgresql+psycopg://").get_dialect()(paramstyle="named")  # type: ignore[call-arg]
# SQLAlchemy reads this from a connection: in a literal a backslash is a backslash (standard_conforming_strings).
DIALECT._backslash_escapes = False  # type: ignore[attr-defined]  # noqa: SLF001


OWN_NAMES = "hp$"
"""What columns and variables of a load's own begin with in its statements, so that they are no column's."""

_NAME_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL cuts longer names, and so do we, to find them again in its catalogs


def stored_name(name: str) -> str:
    """A name as PostgreSQL keeps it."""
    return name.encode("utf-8", "surrogatepass")[:_NAME_BYTES].decode("utf-8", "ignore")


def quote_name(name: str) -> str:
    """A name as an SQL identifier, whatever characters it has; as long as PostgreSQL keeps it."""
    return str(DIALECT.identifier_preparer.quote_identifier(stored_name(name)))


def quote_table(table: sa.Table) -> str:
    """A table's name as SQL, with its schema if it has one."""
    return f"{quote_name(table.schema)}.{quote_name(table.name)}" if table.schema else quote_name(table.name)
