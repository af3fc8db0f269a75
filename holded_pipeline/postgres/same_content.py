"""Rows whose key is known, compared with the stored row: equal ones are duplicates, others are in conflict.

Asked only of a batch of which some rows were not inserted, after the merge: then the table has a row for each key, of
another batch or of this one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.json_differences import MAX_DIFFERENCES
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Violation
from holded_pipeline.postgres.dialect import quote_name
from holded_pipeline.postgres.differing_values import differing_values
from holded_pipeline.postgres.event_ids import find_ids_without_row, stored_by_key
from holded_pipeline.postgres.load_transaction import Cursor
from holded_pipeline.postgres.merged_rows import MergedRows

REASON = "id_conflict"


def find_conflicts(rows: MergedRows, target: str, cursor: Cursor, staged: str) -> tuple[tuple[int, RejectRecord], ...]:
    """The positions of merged rows whose stored row has another content, with their rejections."""
    lost = find_ids_without_row(rows.target, target, cursor, staged)
    statement = conflicts_statement(rows, target, staged)
    if statement is None:
        return lost
    cursor.execute(statement)
    return lost + tuple((position, _rejection(rows, *found)) for position, *found in cursor.fetchall())


def conflicts_statement(rows: MergedRows, target: str, staged: str) -> str | None:
    """The SQL text; None where no row can be in conflict. Columns that a row omits are not compared."""
    # Table t (k int PRIMARY KEY, n numeric, v text) with same=("n", "v"):
    #
    #   SELECT position, columns, keys, place, differing FROM (
    #       SELECT hp$position AS position, ARRAY[stored.hp$key_1::text] AS keys, NULL::text AS place,
    #           array_remove(ARRAY[CASE WHEN <n differs> THEN 'n' END, CASE WHEN <v differs> THEN 'v' END], NULL)
    #               AS columns,
    #           jsonb_build_array(CASE WHEN <n differs> THEN <where and how> END, …) AS differing
    #       FROM (SELECT *, "k" AS hp$key_1 FROM holded_stage_1) AS incoming
    #       JOIN LATERAL (SELECT known."n", known."v" FROM "t" AS known WHERE "k" = incoming.hp$key_1 LIMIT 1)
    #           AS stored ON true
    #       WHERE ROW(incoming."n", incoming."v")::record *<> ROW(stored."n", stored."v")::record
    #   ) AS found WHERE columns <> '{}' ORDER BY position
    identity = rows.target
    compared = [column for column in rows.table.columns if column.name in rows.same and column.name in rows.columns]
    if identity is None or not compared:
        return None
    names = [quote_name(column.name) for column in compared]
    place = _place_column(rows.table)
    read = dict.fromkeys(f"known.{name}" for name in [*names, *([quote_name(place)] if place else [])])
    keys = [f"hp$key_{number}" for number in range(1, len(identity.keys) + 1)]
    incoming = ", ".join(f"{sql} AS {key}" for sql, key in zip(identity.keys, keys, strict=True))
    can_conflict = identity.can_conflict(rows.inserted())
    where = "" if can_conflict is None else f" WHERE {can_conflict}"
    # With a limit it stays a lookup in the index for each row, whatever the planner believes of the staging table.
    equal = "IS NOT DISTINCT FROM" if identity.nulls_conflict else "="
    by = "" if identity.ids is None else "hp$known."
    known = [f"{by}{sql} {equal} incoming.{key}" for sql, key in zip(identity.keys, keys, strict=True)]
    known += [f"({identity.condition})"] if identity.condition else []
    differing = ", ".join(f"CASE WHEN {_differs(rows, column)} THEN {_literal(column.name)} END" for column in compared)
    values = ", ".join(f"CASE WHEN {_differs(rows, column)} THEN {_differences_in(column)} END" for column in compared)
    return (
        "SELECT position, columns, keys, place, differing FROM (SELECT incoming.hp$position AS position, "
        f"pg_catalog.array_remove(ARRAY[{differing}]::text[], NULL) AS columns, "
        f"pg_catalog.jsonb_build_array({values}) AS differing, "
        f"ARRAY[{', '.join(f'incoming.{key}::text' for key in keys)}] AS keys, "
        f"{f'stored.{quote_name(place)}::text' if place else 'NULL::text'} AS place "
        f"FROM (SELECT *, {incoming} FROM {staged}{where}) AS incoming JOIN LATERAL (SELECT {', '.join(read)} "
        f"FROM {stored_by_key(identity, target)} WHERE {' AND '.join(known)} LIMIT 1) AS stored ON true "
        f"WHERE {_image('incoming', names)} OPERATOR(pg_catalog.*<>) {_image('stored', names)}"
        ") AS found WHERE columns <> '{}' ORDER BY position"
    )


def _differs(rows: MergedRows, column: sa.Column[Any]) -> str:
    """Whether two rows differ in a column, as SQL: documents and numbers by value, anything else byte by byte."""
    name = quote_name(column.name)
    new, old = f"incoming.{name}", f"stored.{name}"
    if isinstance(column.type, sa.JSON):
        differs = f"pg_catalog.to_jsonb({new}) IS DISTINCT FROM pg_catalog.to_jsonb({old})"
    elif isinstance(column.type, sa.Numeric | sa.Float):
        differs = f"{new} IS DISTINCT FROM {old}"
    else:
        differs = f"{_image('incoming', [name])} OPERATOR(pg_catalog.*<>) {_image('stored', [name])}"
    return differs if rows.defaults is None else f"{rows.is_filled(column.name)} AND {differs}"


def _differences_in(column: sa.Column[Any]) -> str:
    """Where the rows differ in a column, as SQL."""
    name = quote_name(column.name)
    return differing_values(column, f"incoming.{name}", f"stored.{name}", _literal(json_pointer([column.name])))


def _image(row: str, names: Sequence[str]) -> str:
    return f"ROW({', '.join(f'{row}.{name}' for name in names)})::record"


def _literal(text: str) -> str:
    return "E'{}'".format(text.replace("\\", "\\\\").replace("'", "''"))


def _place_column(table: sa.Table) -> str | None:
    """The column that says where a row was read, as in `business_events`; None of a table without one."""
    source = table.columns.get("source")
    return "source" if source is not None and isinstance(source.type, sa.JSON) else None


def _rejection(
    rows: MergedRows,
    columns: list[str],
    keys: list[str | None],
    place: str | None,
    differing: list[list[list[str]] | None],
) -> RejectRecord:
    identity = rows.target
    named = ", ".join(identity.keys if identity else ()).replace('"', "")
    values = ", ".join("NULL" if key is None else key for key in keys)
    violations = [_violation(*each) for column in differing for each in column or ()]
    shown = "; ".join(f"{each.pointer}: {each.message}" for each in violations[:MAX_DIFFERENCES])
    message = (
        f"{rows.table.name} has a row with ({named}) = ({values}) and another content: {', '.join(columns)} "
        f"{'differs' if len(columns) == 1 else 'differ'} ({shown}); the stored row {_describe_place(place)}, and this "
        "content is in the record of this rejection"
    )
    return RejectRecord(REASON, message, violations)


def _violation(pointer: str, new: str | None, old: str | None) -> Violation:
    words = "differs from the stored row" if new is None else f"{new} here, {old} in the stored row"
    return Violation(pointer, REASON, words)


def _describe_place(place: str | None) -> str:
    """Where the stored row was read, in words."""
    source = json.loads(place) if place else None
    if not isinstance(source, dict) or not {"bucket", "key", "line"} <= source.keys():
        return "stays"
    item = f", item {source['item']}" if source.get("item") is not None else ""
    return f"was read from {source['bucket']}/{source['key']}, line {source['line']}{item}, and stays"
