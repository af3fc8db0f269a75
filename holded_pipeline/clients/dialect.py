"""PostgreSQL's dialect as SQLAlchemy speaks it: types, and names that need no trust."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

DIALECT = sa.make_url("postgresql+psycopg://").get_dialect()()
# With the driver's own way of writing parameters each % would be doubled, and ours are statements without any.
_NAMES = PGDialect(paramstyle="named").identifier_preparer  # type: ignore[no-untyped-call]


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever is in it."""
    return _NAMES.quote_identifier(name)


def quoted_table(table: sa.Table) -> str:
    """A table's name, with its schema if it has one."""
    return f"{quoted(table.schema)}.{quoted(table.name)}" if table.schema else quoted(table.name)
