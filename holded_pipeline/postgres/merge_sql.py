"""The merge statement: from the staging table into the target.

It returns one row: how many rows were inserted, and how many were inserted or updated.
"""

from __future__ import annotations

from holded_pipeline.postgres.dialect import quote_name
from holded_pipeline.postgres.merged_rows import MergedRows
from holded_pipeline.postgres.update_clause import filled_map, update_clause


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
    changes = update_clause(rows, key) if on_conflict == "update" else None
    action = "DO NOTHING" if changes is None else f"DO UPDATE SET {changes}"
    # xmax is 0 in a row that this statement inserted, and the transaction's number in one that it updated.
    is_new = "true" if changes is None else "xmax = 0"
    chosen = f"WITH holded_rows AS (SELECT DISTINCT ON ({by_key}) * FROM {staged} ORDER BY {by_key}, {position})"
    if changes is not None and rows.lookup == "map":
        chosen += f", {filled_map(key)}"
    return _count_merged(
        f"{chosen} INSERT INTO {target} AS stored ({names}) SELECT {values} FROM holded_rows ORDER BY {by_key} "
        f"ON CONFLICT ({by_key}) {action}",
        is_new,
    )


def _count_merged(insert: str, is_new: str = "true") -> str:
    merged = f"{insert} RETURNING {is_new} AS is_new"
    return f"WITH merged AS ({merged}) SELECT count(*) FILTER (WHERE is_new), count(*) FROM merged"
