"""SQL that says where two rows differ: the first pointers, with both values shortened.

Only scalars are written as text, never a whole document: a few bytes of JSONB can be a gigabyte of text.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from holded_pipeline.model.json_differences import MAX_DIFFERENCES, MAX_VALUE_CHARACTERS

_SHOWN = (sa.String, sa.Integer, sa.Numeric, sa.Float, sa.Boolean, sa.Date, sa.DateTime, sa.Time, sa.Uuid, sa.Enum)
_ESCAPED = "pg_catalog.replace(pg_catalog.replace(child.step, '~', '~0'), '/', '~1')"


def differing_values(column: sa.Column[Any], new: str, old: str, pointer: str) -> str:
    """An expression for the differences of one column: a JSONB array of `[pointer, new value, old value]`.

    Args:
        column: the column.
        new: the new value, as SQL.
        old: the stored value, as SQL.
        pointer: the pointer to the column, as an SQL literal.
    """
    if isinstance(column.type, sa.JSON):
        return _differing_members(new, old, pointer)
    if not isinstance(column.type, _SHOWN):
        return f"pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_array({pointer}, NULL, NULL))"
    values = ", ".join(f"COALESCE({_shortened(f'({each})::text')}, 'NULL')" for each in (new, old))
    return f"pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_array({pointer}, {values}))"


def _differing_members(new: str, old: str, pointer: str) -> str:
    """Walks both documents from their roots, and into pairs of objects or arrays that differ."""
    # {"a": 1, "b": [1]} and {"a": 1, "b": [2]}: the root differs, of its members /b, of its elements /b/0.
    return (
        "(WITH RECURSIVE walk(path, at, new, old) AS ("
        f"SELECT ARRAY[]::text[], {pointer}::text, pg_catalog.to_jsonb({new}), pg_catalog.to_jsonb({old}) "
        "UNION ALL SELECT walk.path || child.step, walk.at || '/' || " + _ESCAPED + ", child.new, child.old "
        f"FROM walk CROSS JOIN LATERAL ({_paired_members('object')} UNION ALL {_paired_members('array')}) AS child "
        "WHERE child.new IS DISTINCT FROM child.old) "
        "SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(at, new, old)) FROM ("
        f"SELECT at, {_shown_value('new')} AS new, {_shown_value('old')} AS old FROM walk "
        f"WHERE NOT {_both('object')} AND NOT {_both('array')} ORDER BY path LIMIT {MAX_DIFFERENCES}) AS shown)"
    )


def _paired_members(kind: str) -> str:
    """The members of two objects, or the elements of two arrays, beside each other: step, new and old."""
    if kind == "object":
        each = "SELECT * FROM pg_catalog.jsonb_each(CASE WHEN {both} THEN walk.{side} END)"
    else:
        each = (
            "SELECT (place - 1)::text AS key, value FROM pg_catalog.jsonb_array_elements("
            "CASE WHEN {both} THEN walk.{side} END) WITH ORDINALITY AS element(value, place)"
        )
    new, old = (each.format(both=_both(kind, "walk."), side=side) for side in ("new", "old"))
    return (
        f"SELECT COALESCE(n.key, o.key) AS step, n.value AS new, o.value AS old FROM ({new}) AS n "
        f"FULL JOIN ({old}) AS o ON n.key = o.key"
    )


def _both(kind: str, row: str = "") -> str:
    types = (f"pg_catalog.jsonb_typeof({row}{side}) IS NOT DISTINCT FROM '{kind}'" for side in ("new", "old"))
    return f"({' AND '.join(types)})"


def _shown_value(value: str) -> str:
    return (
        f"CASE pg_catalog.jsonb_typeof({value}) WHEN 'object' THEN 'an object' WHEN 'array' THEN 'an array' "
        f"ELSE COALESCE({_shortened(f'{value}::text')}, 'nothing') END"
    )


def _shortened(text: str) -> str:
    return (
        f"CASE WHEN pg_catalog.length({text}) > {MAX_VALUE_CHARACTERS} "
        f"THEN pg_catalog.left({text}, {MAX_VALUE_CHARACTERS - 1}) || '…' ELSE {text} END"
    )
