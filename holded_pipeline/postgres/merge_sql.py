"""The merge statement: from the staging table into the target.

It returns one row: how many rows were inserted, and how many were inserted or updated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.postgres.column_defaults import (
    client_default_columns,
    default_sql,
    default_value,
    describe_default,
    sql_defaults,
)
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.dialect import quote_name


def merge_statement(
    row_format: RowFormat, target: str, columns: Sequence[str], staged: str, *, on_conflict: str, keep: str
) -> str:
    """The SQL text; `target` is the table's quoted name, `staged` the FROM item with the rows, which have `columns`.

    Rows are inserted in the order of their key, so writers with overlapping batches cannot deadlock. Of the rows with
    one key in a batch only the first or the last counts, as `keep` says. Rows without the whole key identify no
    stored row, so all of them are inserted, in their order. If the database generates a key that is taken, the row is
    rejected: counted as a duplicate it would be lost.
    """
    # Table t (k int PRIMARY KEY, n int) with columns ("k", "n"), on_conflict="update" and keep="last":
    #
    #   WITH merged AS (
    #       INSERT INTO "t" AS stored ("k", "n")
    #       SELECT DISTINCT ON ("k") "k", "n" FROM holded_stage_1 ORDER BY "k", holded_position DESC
    #       ON CONFLICT ("k") DO UPDATE SET "n" = excluded."n"
    #           WHERE ROW(stored."n")::record OPERATOR(pg_catalog.*<>) ROW(excluded."n")::record
    #       RETURNING xmax = 0 AS is_new
    #   ) SELECT count(*) FILTER (WHERE is_new), count(*) FROM merged
    #
    # The same with columns ("n",), where the database generates k:
    #
    #   WITH merged AS (
    #       INSERT INTO "t" ("n") SELECT "n" FROM holded_stage_1 ORDER BY holded_position RETURNING true AS is_new
    #   ) SELECT count(*) FILTER (WHERE is_new), count(*) FROM merged
    table = row_format.table
    staged_names = (*columns, *(column.name for column in client_default_columns(table, columns)))
    defaults = sql_defaults(table, columns)
    names = ", ".join(quote_name(name) for name in (*staged_names, *defaults))
    values = ", ".join((*(quote_name(name) for name in staged_names), *defaults.values()))
    whole_key = [column.name for column in table.primary_key.columns]
    key = [quote_name(name) for name in whole_key if name in staged_names]
    if not key or len(key) < len(whole_key) or on_conflict == "reject":
        order = ", ".join((*key, "holded_position"))
        return _count_merged(f"INSERT INTO {target} ({names}) SELECT {values} FROM {staged} ORDER BY {order}")
    by_key = ", ".join(key)
    position = "holded_position DESC" if keep == "last" else "holded_position"
    source = f"SELECT DISTINCT ON ({by_key}) {values} FROM {staged} ORDER BY {by_key}, {position}"
    changes = _update_clause(row_format, columns) if on_conflict == "update" else None
    action = "DO NOTHING" if changes is None else f"DO UPDATE SET {changes}"
    # xmax is 0 in a row that this statement inserted, and the transaction's number in one that it updated.
    is_new = "true" if changes is None else "xmax = 0"
    return _count_merged(f"INSERT INTO {target} AS stored ({names}) {source} ON CONFLICT ({by_key}) {action}", is_new)


def merge_filled_statement(
    row_format: RowFormat, target: str, columns: Sequence[str], staged: str, *, keep: str
) -> str:
    """The SQL text of an update by rows that may omit some of `columns`, but nothing of the key.

    The column `holded_filled` of the rows has a bit for each of `columns`: whether the row has it.
    """
    # For table t (k int PRIMARY KEY, n int), columns ("k", "n") and keep="first", where n is set as
    #
    #   CASE WHEN (excluded."k") IN (SELECT "k" FROM holded_rows WHERE get_bit(holded_filled, 1) = 1)
    #       THEN excluded."n" ELSE stored."n" END
    #
    # Such a query is run once for the statement: its result is a hash table.
    table = row_format.table
    key = [quote_name(column.name) for column in table.primary_key.columns]
    by_key = ", ".join(key)
    staged_names = (*columns, *(column.name for column in client_default_columns(table, columns)))
    defaults = sql_defaults(table, columns)
    names = ", ".join(quote_name(name) for name in (*staged_names, *defaults))
    values = ", ".join((*(quote_name(name) for name in staged_names), *defaults.values()))
    position = "holded_position DESC" if keep == "last" else "holded_position"
    rows = f"SELECT DISTINCT ON ({by_key}) * FROM {staged} ORDER BY {by_key}, {position}"
    excluded_key = ", ".join(f"excluded.{name}" for name in key)

    def new_value(column: sa.Column[Any], otherwise: str) -> str:
        bit = f"pg_catalog.get_bit(holded_filled, {columns.index(column.name)}) = 1"
        filled = f"({excluded_key}) IN (SELECT {by_key} FROM holded_rows WHERE {bit})"
        return f"CASE WHEN {filled} THEN excluded.{quote_name(column.name)} ELSE {otherwise} END"

    changes = _update_clause(row_format, columns, new_value)
    action = "DO NOTHING" if changes is None else f"DO UPDATE SET {changes}"
    is_new = "true" if changes is None else "xmax = 0"
    return _count_merged(
        f"WITH holded_rows AS MATERIALIZED ({rows}) INSERT INTO {target} AS stored ({names}) "
        f"SELECT {values} FROM holded_rows ORDER BY {by_key} ON CONFLICT ({by_key}) {action}",
        is_new,
    )


def _count_merged(insert: str, is_new: str = "true") -> str:
    merged = f"{insert} RETURNING {is_new} AS is_new"
    return f"WITH merged AS ({merged}) SELECT count(*) FILTER (WHERE is_new), count(*) FROM merged"


def _new_value(column: sa.Column[Any], _otherwise: str) -> str:
    return f"excluded.{quote_name(column.name)}"


def _update_clause(
    row_format: RowFormat, columns: Sequence[str], new_value: Callable[[sa.Column[Any], str], str] = _new_value
) -> str | None:
    """What an update sets, and its condition: the rows differ in more than volatile columns; None if nothing is set.

    `new_value` is the SQL of what a row has in a column; its second argument is that of a row that omits the column.
    """
    settable = [column for column in row_format.table.columns if column.name in columns and not column.primary_key]
    compared = [column for column in settable if not column.info.get("volatile")]
    if not compared:
        return None
    kept = {column.name: f"stored.{quote_name(column.name)}" for column in settable}
    onupdate = {
        column.name: _onupdate_sql(row_format, column)
        for column in row_format.table.columns
        if column.onupdate is not None and (column.name not in columns or new_value is not _new_value)
    }
    values = [
        f"{quote_name(column.name)} = {new_value(column, onupdate.get(column.name, kept[column.name]))}"
        for column in settable
    ]
    values += [f"{quote_name(name)} = {sql}" for name, sql in onupdate.items() if name not in columns]
    stored = ", ".join(kept[column.name] for column in compared)
    new = ", ".join(new_value(column, kept[column.name]) for column in compared)
    # Byte by byte: some types have no equality, and some call different values equal, such as circles of one area.
    return f"{', '.join(values)} WHERE ROW({stored})::record OPERATOR(pg_catalog.*<>) ROW({new})::record"


def _onupdate_sql(row_format: RowFormat, column: sa.Column[Any]) -> str:
    sql = default_sql(column.onupdate)
    if sql is not None:
        return sql
    try:
        return row_format.literal(column.name, default_value(column, "onupdate"))
    except RejectRecord as rejection:  # it belongs to no row
        raise ConfigurationError(
            f"the {describe_default(column, 'onupdate')} cannot be written: {rejection.message}"
        ) from rejection
