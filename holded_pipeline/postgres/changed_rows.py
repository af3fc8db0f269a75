"""Which rows of a batch were inserted or updated, asked after a merge that changed only some of them."""

from __future__ import annotations

from holded_pipeline.postgres.load_transaction import Cursor
from holded_pipeline.postgres.merge_sql import chosen_rows
from holded_pipeline.postgres.merged_rows import MergedRows


def find_changed(rows: MergedRows, target: str, keep: str, cursor: Cursor, staged: str) -> frozenset[int]:
    """The positions of the merged rows whose stored row this transaction wrote.

    The target is a table: only rows of tables say which transaction wrote them.
    """
    # Table t (k int PRIMARY KEY, n int) with keep="first":
    #
    #   SELECT hp$position FROM (SELECT DISTINCT ON ("k") * FROM holded_stage_1 ORDER BY "k", hp$position) AS incoming
    #   WHERE EXISTS (SELECT FROM "t" AS stored WHERE stored."k" = incoming."k"
    #       AND stored.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid)
    identity = rows.target
    if identity is None:
        return frozenset()
    same_key = " AND ".join(f"stored.{name} = incoming.{name}" for name in identity.lookup)
    cursor.execute(
        f"SELECT hp$position FROM ({chosen_rows(rows, identity, staged, keep)}) AS incoming WHERE EXISTS (SELECT FROM "
        f"{target} AS stored WHERE {same_key} AND stored.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid)"
    )
    return frozenset(position for (position,) in cursor.fetchall())
