"""The merge: from the staging table into the target, one statement.

It answers one row: how many rows were inserted, and how many were inserted or updated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.postgres.column_defaults import (
    default_sql,
    default_value,
    described,
    filled_by_client,
    filled_by_merge,
)
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.dialect import quoted


def merge_statement(
    form: RowFormat, target: str, columns: Sequence[str], staged: str, *, on_conflict: str, keep: str
) -> str:
    """The SQL text; `target` is the table's quoted name, `staged` the FROM item that rows giving `columns` come from.

    Rows go in in the order of their key, so that writers with overlapping batches cannot deadlock. A key that
    stands in the batch more than once counts once, the first or the last of them. Rows that do not have the whole key
    name no row that may be there, so all of them are new, in their order; should the database make a key for one
    that is taken, that one is refused: as a duplicate it would be lost.
    """
    table = form.table
    staged_names = (*columns, *(column.name for column in filled_by_client(table, columns)))
    made = filled_by_merge(table, columns)
    names = ", ".join(quoted(name) for name in (*staged_names, *made))
    values = ", ".join((*(quoted(name) for name in staged_names), *made.values()))
    whole_key = [column.name for column in table.primary_key.columns]
    key = [quoted(name) for name in whole_key if name in staged_names]
    if not key or len(key) < len(whole_key) or on_conflict == "reject":
        order = ", ".join((*key, "holded_place"))
        return _counted(f"INSERT INTO {target} ({names}) SELECT {values} FROM {staged} ORDER BY {order}")
    by_key = ", ".join(key)
    place = "holded_place DESC" if keep == "last" else "holded_place"
    source = f"SELECT DISTINCT ON ({by_key}) {values} FROM {staged} ORDER BY {by_key}, {place}"
    changes = _changes(form, columns) if on_conflict == "update" else None
    action = "DO NOTHING" if changes is None else f"DO UPDATE SET {changes}"
    # xmax is 0 in a row that this very statement made, and its own number in one that it updated.
    created = "true" if changes is None else "xmax = 0"
    return _counted(f"INSERT INTO {target} AS stored ({names}) {source} ON CONFLICT ({by_key}) {action}", created)


def _counted(insert: str, made: str = "true") -> str:
    merged = f"{insert} RETURNING {made} AS made"
    return f"WITH merged AS ({merged}) SELECT count(*) FILTER (WHERE made), count(*) FROM merged"


def _changes(form: RowFormat, columns: Sequence[str]) -> str | None:
    """What an update sets, and where: only rows that differ in more than volatile columns."""
    settable = [column for column in form.table.columns if column.name in columns and not column.primary_key]
    telling = [column for column in settable if not column.info.get("volatile")]
    if not telling:
        return None
    values = [f"{quoted(column.name)} = excluded.{quoted(column.name)}" for column in settable]
    values += [
        f"{quoted(column.name)} = {_onupdate(form, column)}"
        for column in form.table.columns
        if column.name not in columns and column.onupdate is not None
    ]
    stored, sent = (
        f"ROW({', '.join(f'{side}.{quoted(column.name)}' for column in telling)})::record"
        for side in ("stored", "excluded")
    )
    # Byte by byte: some types have no equality, and to some what differs is equal, such as circles of one area.
    return f"{', '.join(values)} WHERE {stored} OPERATOR(pg_catalog.*<>) {sent}"


def _onupdate(form: RowFormat, column: sa.Column[Any]) -> str:
    sql = default_sql(column.onupdate)
    if sql is not None:
        return sql
    try:
        return form.literal(column.name, default_value(column, "onupdate"))
    except RejectRecord as fault:  # it is no row's
        raise ConfigurationError(f"the {described(column, 'onupdate')} is of no use: {fault.message}") from fault
