"""PostgreSQL's dialect as SQLAlchemy speaks it: types, and names that need no trust."""

from __future__ import annotations

import sqlalchemy as sa

# With the driver's own way of writing parameters each % would be doubled, and ours are statements without any.
DIALECT = sa.make_url("postgresql+psycopg://").get_dialect()(paramstyle="named")  # type: ignore[call-arg]
# What SQLAlchemy finds out on a connection: a backslash in a literal is one (standard_conforming_strings).
DIALECT._backslash_escapes = False  # type: ignore[attr-defined]  # noqa: SLF001


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever is in it."""
    return str(DIALECT.identifier_preparer.quote_identifier(name))


def quoted_table(table: sa.Table) -> str:
    """A table's name, with its schema if it has one."""
    return f"{quoted(table.schema)}.{quoted(table.name)}" if table.schema else quoted(table.name)
