"""The merge statement: from the staging table into the target.

It returns one row: how many rows were inserted, and how many were inserted or updated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.postgres.column_defaults import (
    default_sql,
    default_value,
    describe_default,
    sql_defaults,
)
from holded_pipeline.postgres.column_sets import staged_columns
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.dialect import quote_name


@attrs.frozen
class MergedRows:
    """The rows of a merge.

    Attributes:
        row_format: of the table.
        columns: those that the rows fill.
        defaults: None if each row has all of `columns`. Otherwise the staging table's column `holded_filled` has a bit
            for each of `columns`, whether the row has it; and this is the SQL of what is inserted where a row omits
            a column, if that is not what its line has. No row omits a part of the key.
    """

    row_format: RowFormat
    columns: tuple[str, ...]
    defaults: Mapping[str, str] | None = None

    @property
    def table(self) -> sa.Table:
        """The table."""
        return self.row_format.table

    def inserted(self) -> dict[str, str]:
        """What is inserted into each column, as SQL; both quoted."""
        defaults = self.defaults or {}
        values = {quote_name(name): quote_name(name) for name in staged_columns(self.table, self.columns)}
        values |= {
            quote_name(name): f"CASE WHEN {self.is_filled(name)} THEN {quote_name(name)} ELSE {sql} END"
            for name, sql in defaults.items()
        }
        return values | {quote_name(name): sql for name, sql in sql_defaults(self.table, self.columns).items()}

    def is_filled(self, name: str) -> str:
        """Whether a row has a column, as SQL."""
        return f"pg_catalog.get_bit(holded_filled, {self.columns.index(name)}) = 1"


def merge_statement(rows: MergedRows, target: str, staged: str, *, on_conflict: str, keep: str) -> str:
    """The SQL text; `target` is the table's quoted name, `staged` the FROM item with the rows.

    Rows are inserted in the order of their key, so writers with overlapping batches cannot deadlock. Of the rows with
    one key in a batch only the first or the last counts, as `keep` says. Rows without the whole key identify no
    stored row, so all of them are inserted, in their order. If the database generates a key that is taken, the row is
    rejected: counted as a duplicate it would be lost.
    """
    # Table t (k int PRIMARY KEY, n int) with columns ("k", "n"), on_conflict="update" and keep="last":
    #
    #   WITH merged AS (
    #       WITH holded_rows AS (SELECT DISTINCT ON ("k") * FROM holded_stage_1 ORDER BY "k", holded_position DESC)
    #       INSERT INTO "t" AS stored ("k", "n") SELECT "k", "n" FROM holded_rows ORDER BY "k"
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
    inserted = rows.inserted()
    names, values = ", ".join(inserted), ", ".join(inserted.values())
    whole_key = [quote_name(column.name) for column in rows.table.primary_key.columns]
    key = [name for name in whole_key if inserted.get(name) == name]
    if not key or len(key) < len(whole_key) or on_conflict == "reject":
        order = ", ".join((*key, "holded_position"))
        return _count_merged(f"INSERT INTO {target} ({names}) SELECT {values} FROM {staged} ORDER BY {order}")
    by_key = ", ".join(key)
    position = "holded_position DESC" if keep == "last" else "holded_position"
    changes = _update_clause(rows, by_key) if on_conflict == "update" else None
    action = "DO NOTHING" if changes is None else f"DO UPDATE SET {changes}"
    # xmax is 0 in a row that this statement inserted, and the transaction's number in one that it updated.
    is_new = "true" if changes is None else "xmax = 0"
    return _count_merged(
        f"WITH holded_rows AS (SELECT DISTINCT ON ({by_key}) * FROM {staged} ORDER BY {by_key}, {position}) "
        f"INSERT INTO {target} AS stored ({names}) SELECT {values} FROM holded_rows ORDER BY {by_key} "
        f"ON CONFLICT ({by_key}) {action}",
        is_new,
    )


def _count_merged(insert: str, is_new: str = "true") -> str:
    merged = f"{insert} RETURNING {is_new} AS is_new"
    return f"WITH merged AS ({merged}) SELECT count(*) FILTER (WHERE is_new), count(*) FROM merged"


def _update_clause(rows: MergedRows, by_key: str) -> str | None:
    """What an update sets, and its condition: the rows differ in more than volatile columns; None if nothing is set."""
    # For columns ("k", "n") of rows that may omit n, it is set as
    #
    #   CASE WHEN (excluded."k") IN (SELECT "k" FROM holded_rows WHERE get_bit(holded_filled, 1) = 1)
    #       THEN excluded."n" ELSE stored."n" END
    #
    # Such a query is run once for the statement: its result is a hash table.
    settable = [column for column in rows.table.columns if column.name in rows.columns and not column.primary_key]
    compared = [column for column in settable if not column.info.get("volatile")]
    if not compared:
        return None
    excluded_key = ", ".join(f"excluded.{name}" for name in by_key.split(", "))

    def new_value(column: sa.Column[Any], otherwise: str) -> str:
        excluded = f"excluded.{quote_name(column.name)}"
        if rows.defaults is None:
            return excluded
        filled = f"({excluded_key}) IN (SELECT {by_key} FROM holded_rows WHERE {rows.is_filled(column.name)})"
        return f"CASE WHEN {filled} THEN {excluded} ELSE {otherwise} END"

    kept = {column.name: f"stored.{quote_name(column.name)}" for column in settable}
    onupdate = {
        column.name: _onupdate_sql(rows.row_format, column)
        for column in rows.table.columns
        if column.onupdate is not None and (column.name not in rows.columns or rows.defaults is not None)
    }
    values = [
        f"{quote_name(column.name)} = {new_value(column, onupdate.get(column.name, kept[column.name]))}"
        for column in settable
    ]
    values += [f"{quote_name(name)} = {sql}" for name, sql in onupdate.items() if name not in rows.columns]
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
