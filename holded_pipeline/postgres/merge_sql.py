"""The merge statement: from the staging table into the target.

It returns one row: how many rows were inserted, and how many were inserted or updated.
"""

from __future__ import annotations

from holded_pipeline.postgres.conflict_target import ConflictTarget
from holded_pipeline.postgres.dialect import quote_name
from holded_pipeline.postgres.event_ids import is_elsewhere, update_elsewhere
from holded_pipeline.postgres.merged_rows import MergedRows
from holded_pipeline.postgres.update_clause import filled_map, update_clause


def merge_statement(rows: MergedRows, target: str, staged: str, *, on_conflict: str, keep: str) -> str:
    """The SQL text; `target` is the table's quoted name, `staged` the FROM item with the rows.

    Rows are inserted in the order of their key, so writers with overlapping batches cannot deadlock. Of the rows with
    one key in a batch only the newest counts, or where that says nothing the first or the last, as `keep` says. Rows
    without the whole key identify no stored row, so all of them are inserted, in their order; so are rows that cannot
    conflict, such as those with NULL in another unique constraint. If the database generates a key that is taken, the
    row is rejected: counted as a duplicate it would be lost.
    """
    # Table t (k int PRIMARY KEY, n int) with columns ("k", "n"), on_conflict="update" and keep="last":
    #
    #   WITH merged AS (
    #       WITH hp$rows AS (SELECT DISTINCT ON ("k") * FROM holded_stage_1 ORDER BY "k", hp$position DESC)
    #       INSERT INTO "t" AS stored ("k", "n") SELECT "k", "n" FROM hp$rows ORDER BY "k"
    #       ON CONFLICT ("k") DO UPDATE SET "n" = excluded."n"
    #           WHERE ROW(stored."n")::record OPERATOR(pg_catalog.*<>) ROW(excluded."n")::record
    #       RETURNING xmax = 0 AS is_new
    #   ) SELECT count(*) FILTER (WHERE is_new), count(*) FROM merged
    #
    # The same with columns ("n",), where the database generates k:
    #
    #   WITH merged AS (
    #       INSERT INTO "t" ("n") SELECT "n" FROM holded_stage_1 ORDER BY hp$position RETURNING true AS is_new
    #   ) SELECT count(*) FILTER (WHERE is_new), count(*) FROM merged
    inserted = rows.inserted()
    names, values = ", ".join(inserted), ", ".join(inserted.values())
    identity = rows.target
    if identity is None or on_conflict == "reject":
        order = ", ".join((*(identity.keys if identity else ()), "hp$position"))
        return _count_merged(f"INSERT INTO {target} ({names}) SELECT {values} FROM {staged} ORDER BY {order}")
    changes = update_clause(rows, identity) if on_conflict == "update" else None
    action = "DO NOTHING" if changes is None else "DO UPDATE SET {} WHERE {}".format(*changes)
    chosen = f"WITH hp$rows AS ({chosen_rows(rows, identity, staged, keep)})"
    if changes is not None and rows.lookup == "map":
        chosen += f", {filled_map([quote_name(name) for name in identity.columns])}"
    by_key = ", ".join(identity.keys)
    order = by_key if identity.is_primary else f"{by_key}, hp$position"
    elsewhere = "" if identity.ids is None else f" WHERE NOT {is_elsewhere(identity)}"
    return _count_merged(
        f"{chosen} INSERT INTO {target} AS stored ({names}) SELECT {values} FROM hp$rows{elsewhere} ORDER BY {order} "
        f"ON CONFLICT {identity.inferred} {action}",
        "true AS is_new" if changes is None else _is_new(rows, identity, target),
        "" if identity.ids is None or changes is None else f"{chosen} {update_elsewhere(identity, target, *changes)}",
    )


def chosen_rows(rows: MergedRows, identity: ConflictTarget, staged: str, keep: str) -> str:
    """A query for one row of each key."""
    # Those that cannot conflict are groups of their own: hp$alone is their position, and -1 of all others.
    newest = f"{quote_name(rows.newer_by)} DESC NULLS LAST, " if rows.newer_by in rows.columns else ""
    position = "hp$position DESC" if keep == "last" else "hp$position"
    can_conflict = identity.can_conflict(rows.inserted())
    by_key = ", ".join(identity.keys if can_conflict is None else (*identity.keys, "hp$alone"))
    if can_conflict is not None:
        staged = f"(SELECT *, CASE WHEN {can_conflict} THEN -1 ELSE hp$position END AS hp$alone FROM {staged}) AS r"
    return f"SELECT DISTINCT ON ({by_key}) * FROM {staged} ORDER BY {by_key}, {newest}{position}"


def _is_new(rows: MergedRows, identity: ConflictTarget, target: str) -> str:
    """What an upsert returns: how it tells the rows that it inserted."""
    if rows.facts.updates_have_xmax:
        # xmax is 0 in a row that this statement inserted, and the transaction's number in one that it updated.
        return "xmax = 0 AS is_new"
    if rows.facts.returns_old:
        return "WITH (OLD AS hp$old) hp$old IS NULL AS is_new"
    # The statement does not see what it inserted, so a row that it sees by this key is one that it updated.
    same_key = " AND ".join(f"known.{name} = stored.{name}" for name in identity.lookup)
    return f"NOT EXISTS (SELECT FROM {target} AS known WHERE {same_key}) AS is_new"


def _count_merged(insert: str, returning: str = "true AS is_new", update: str = "") -> str:
    merged = f"WITH merged AS ({insert} RETURNING {returning})"
    if not update:
        return f"{merged} SELECT count(*) FILTER (WHERE is_new), count(*) FROM merged"
    both = "(SELECT is_new FROM merged UNION ALL SELECT is_new FROM hp$moved) AS hp$both"
    return (
        f"{merged}, hp$moved AS ({update} RETURNING false AS is_new) "
        f"SELECT count(*) FILTER (WHERE is_new), count(*) FROM {both}"
    )
