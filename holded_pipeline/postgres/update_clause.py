"""What a merge does with a row whose key is in the table: the part after DO UPDATE SET."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.postgres.column_defaults import default_sql, default_value, describe_default
from holded_pipeline.postgres.conflict_target import ConflictTarget
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.dialect import quote_name
from holded_pipeline.postgres.merged_rows import MergedRows


def filled_map(key: Sequence[str]) -> str:
    """A query for the WITH clause: from the text of each key to the bits of its row. `key` is quoted."""
    # A lookup in JSON takes no more than a binary search, and the object is made once for the statement.
    bits = f"pg_catalog.jsonb_object_agg(ROW({', '.join(key)})::text, hp$filled)"
    return f"hp$map AS MATERIALIZED (SELECT {bits} AS bits FROM hp$rows)"


def update_clause(rows: MergedRows, identity: ConflictTarget) -> tuple[str, str] | None:
    """What an update sets after SET, and its condition; None if nothing is set.

    The rows differ in more than volatile columns, and the new one is newer where a column says which is. A row that
    omits this column is not newer, nor is one with NULL in it; any value is newer than NULL.
    """
    # For columns ("k", "n") of rows that may omit n:
    #
    #   ("n") = (SELECT CASE WHEN get_bit(hp$filled, 1) = 1 THEN excluded."n" ELSE stored."n" END FROM <bits>)
    #   WHERE (SELECT ROW(stored."n")::record *<> ROW(CASE ... END)::record FROM <bits>)
    #
    # where <bits> looks up those of the row once for all of the columns:
    #
    #   (SELECT ((SELECT bits FROM hp$map) ->> ROW(excluded."k")::text)::varbit AS hp$filled OFFSET 0) AS of_row
    key = [quote_name(name) for name in identity.columns]
    settable = [
        column
        for column in rows.table.columns
        if column.name in rows.columns and not column.primary_key and column.name not in identity.columns
    ]
    compared = [column for column in settable if not column.info.get("volatile") or column.name == rows.newer_by]
    if not compared or (rows.newer_by is not None and rows.newer_by not in rows.columns):
        return None
    kept = {column.name: f"stored.{quote_name(column.name)}" for column in settable}
    onupdate = {
        column.name: _onupdate_sql(rows.row_format, column)
        for column in rows.table.columns
        if column.onupdate is not None and (column.name not in rows.columns or rows.lookup != "none")
    }
    names = [quote_name(column.name) for column in settable]
    values = [_new_value(rows, key, column.name, onupdate.get(column.name, kept[column.name])) for column in settable]
    stored = ", ".join(kept[column.name] for column in compared)
    new = ", ".join(_new_value(rows, key, column.name, kept[column.name]) for column in compared)
    # Byte by byte: some types have no equality, and some call different values equal, such as circles of one area.
    differs = f"ROW({stored})::record OPERATOR(pg_catalog.*<>) ROW({new})::record"
    if rows.newer_by is not None:
        old = kept[rows.newer_by]
        incoming = _new_value(rows, key, rows.newer_by, old)
        differs += f" AND ({incoming} > {old} OR ({old} IS NULL AND {incoming} IS NOT NULL))"
    if rows.lookup == "map":
        excluded_key = ", ".join(f"excluded.{name}" for name in key)
        bits = f"((SELECT bits FROM hp$map) OPERATOR(pg_catalog.->>) ROW({excluded_key})::text)::varbit"
        of_row = f"(SELECT {bits} AS hp$filled OFFSET 0) AS of_row"
        changes = [f"({', '.join(names)}) = (SELECT {', '.join(values)} FROM {of_row})"]
        differs = f"(SELECT {differs} FROM {of_row})"
    else:
        changes = [f"{name} = {value}" for name, value in zip(names, values, strict=True)]
    changes += [f"{quote_name(name)} = {sql}" for name, sql in onupdate.items() if name not in rows.columns]
    return ", ".join(changes), differs


def _new_value(rows: MergedRows, key: Sequence[str], name: str, otherwise: str) -> str:
    """The SQL of what a column is set to; `otherwise` is that of a row that omits the column."""
    # A query as in "sets" is run once for the statement: its result is a hash table.
    excluded = f"excluded.{quote_name(name)}"
    if rows.lookup == "none":
        return excluded
    filled = rows.is_filled(name)
    if rows.lookup == "sets":
        excluded_key = ", ".join(f"excluded.{each}" for each in key)
        filled = f"({excluded_key}) IN (SELECT {', '.join(key)} FROM hp$rows WHERE {filled})"
    return f"CASE WHEN {filled} THEN {excluded} ELSE {otherwise} END"


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
