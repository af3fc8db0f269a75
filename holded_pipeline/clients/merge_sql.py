"""The merge: from the staging table into the target, one statement.

It answers one row: how many rows were inserted, and how many were inserted or updated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from holded_pipeline.clients.dialect import DIALECT, quoted


def merge_statement(
    table: sa.Table, target: str, columns: Sequence[str], staged: str, *, on_conflict: str, keep: str
) -> str:
    """The SQL text; `target` is the table's quoted name, `staged` the FROM item that the rows come from.

    Rows go in in the order of their key, so that writers with overlapping batches cannot deadlock. A key that
    stands in the batch more than once counts once, the first or the last of them.
    """
    key = [quoted(column.name) for column in table.primary_key.columns]
    names = ", ".join(quoted(name) for name in columns)
    if not key or on_conflict == "error":
        order = ", ".join((*key, "holded_place"))
        return _counted(f"INSERT INTO {target} ({names}) SELECT {names} FROM {staged} ORDER BY {order}")
    by_key = ", ".join(key)
    place = "holded_place DESC" if keep == "newest" else "holded_place"
    source = f"SELECT DISTINCT ON ({by_key}) {names} FROM {staged} ORDER BY {by_key}, {place}"
    changes = _changes(table, columns) if on_conflict == "update" else None
    action = "DO NOTHING" if changes is None else f"DO UPDATE SET {changes}"
    # xmax is 0 in a row that this very statement made, and its own number in one that it updated.
    made = "true" if changes is None else "xmax = 0"
    return _counted(f"INSERT INTO {target} AS stored ({names}) {source} ON CONFLICT ({by_key}) {action}", made)


def _counted(insert: str, made: str = "true") -> str:
    merged = f"{insert} RETURNING {made} AS made"
    return f"WITH merged AS ({merged}) SELECT count(*) FILTER (WHERE made), count(*) FROM merged"


def _changes(table: sa.Table, columns: Sequence[str]) -> str | None:
    """What an update sets, and where: only rows that differ in more than volatile columns."""
    settable = [table.columns[name] for name in columns if not table.columns[name].primary_key]
    telling = [column for column in settable if not column.info.get("volatile")]
    if not telling:
        return None
    values = [f"{quoted(column.name)} = excluded.{quoted(column.name)}" for column in settable]
    values += [
        f"{quoted(column.name)} = {_sql(column.onupdate)}"
        for column in table.columns
        if column.name not in columns and column.onupdate is not None and column.onupdate.is_clause_element
    ]
    stored = ", ".join(_comparable("stored", column) for column in telling)
    sent = ", ".join(_comparable("excluded", column) for column in telling)
    return f"{', '.join(values)} WHERE ({stored}) IS DISTINCT FROM ({sent})"


def _comparable(side: str, column: sa.Column[Any]) -> str:
    name = f"{side}.{quoted(column.name)}"
    is_plain_json = isinstance(column.type, sa.JSON) and not isinstance(column.type, postgresql.JSONB)
    return f"{name}::text" if is_plain_json else name  # json has no equality


def _sql(onupdate: Any) -> str:
    return str(onupdate.arg.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))
