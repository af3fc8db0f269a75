"""Merges into a partitioned table whose key is kept unique over all partitions by a table of ids.

The primary key of such a table has the partition key in it, so an insert conflicts only with the same row. A row with a
known key and another partition key is in another place: `ON CONFLICT` does not find it, the table of ids does. Two
writers that bring such rows at once are kept apart by the unique index of the ids: the statement of one fails, and the
rows are merged again, when the other's are seen.
"""

from __future__ import annotations

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.postgres.conflict_target import ConflictTarget
from holded_pipeline.postgres.load_transaction import Cursor

_IDS_KEY = "business_event_ids_pkey"

# In comments: table t (k, d, PRIMARY KEY (k, d)) PARTITION BY RANGE (d), and ids (k PRIMARY KEY, d).


def is_elsewhere(identity: ConflictTarget, row: str = "hp$rows") -> str:
    """Whether the key of a row is stored with another partition key, as SQL."""
    # EXISTS (SELECT FROM ids AS hp$known WHERE hp$known."k" = hp$rows."k" AND hp$known."d" <> hp$rows."d")
    return f"EXISTS (SELECT FROM {identity.ids} AS hp$known WHERE {_other_place(identity, row)})"


def update_elsewhere(identity: ConflictTarget, target: str, changes: str, differs: str) -> str:
    """The statement that updates rows which are elsewhere, and thereby moves them; after a WITH that has `hp$rows`.

    `changes` and `differs` are those of an upsert, whose new row is called `excluded`.
    """
    # UPDATE t AS stored SET … FROM hp$rows AS excluded JOIN ids AS hp$known ON hp$known."k" = excluded."k"
    #     AND hp$known."d" <> excluded."d" WHERE stored."k" = hp$known."k" AND stored."d" = hp$known."d" AND <differs>
    return (
        f"UPDATE {target} AS stored SET {changes} FROM hp$rows AS excluded JOIN {identity.ids} AS hp$known "
        f"ON {_other_place(identity, 'excluded')} WHERE {_same_place(identity, 'stored')} AND {differs}"
    )


def stored_by_key(identity: ConflictTarget, target: str) -> str:
    """The FROM item of the stored row `known` by its key: `hp$known` has the key where there is a table of ids."""
    if identity.ids is None:
        return f"{target} AS known"
    return f"{identity.ids} AS hp$known JOIN {target} AS known ON {_same_place(identity, 'known')}"


def is_taken_id(identity: ConflictTarget | None, rejection: RejectRecord) -> bool:
    """Whether a row is rejected since its id was stored, or moved, after its statement had begun."""
    if identity is None or identity.ids is None:
        return False
    return any(violation.keyword == _IDS_KEY for violation in rejection.violations)


def find_ids_without_row(
    identity: ConflictTarget | None, target: str, cursor: Cursor, staged: str
) -> tuple[tuple[int, RejectRecord], ...]:
    """Rows whose key is known elsewhere, where no row is: a partition was dropped, and its ids were not."""
    if identity is None or identity.ids is None:
        return ()
    (key,) = identity.keys
    cursor.execute(
        f"SELECT hp$position, incoming.{key}, found.{identity.partition_key}::text "
        f"FROM (SELECT * FROM {staged}) AS incoming JOIN LATERAL (SELECT * FROM {identity.ids} AS hp$known "
        f"WHERE {_other_place(identity, 'incoming')} LIMIT 1) AS found ON true WHERE NOT EXISTS ("
        f"SELECT FROM {target} AS known WHERE {_same_place(identity, 'known', 'found')}) ORDER BY 1"
    )
    return tuple((position, _in_other_place(identity, value, at)) for position, value, at in cursor.fetchall())


def _other_place(identity: ConflictTarget, row: str) -> str:
    (key,) = identity.keys
    by = identity.partition_key
    return f"hp$known.{key} = {row}.{key} AND hp$known.{by} <> {row}.{by}"


def _same_place(identity: ConflictTarget, row: str, known: str = "hp$known") -> str:
    return " AND ".join(f"{row}.{name} = {known}.{name}" for name in identity.lookup)


def _in_other_place(identity: ConflictTarget, key: str, at: str) -> RejectRecord:
    return RejectRecord(
        "id_conflict",
        f"{identity.ids} has {identity.keys[0]} {key!r} at {at}, where no row is: its partition was dropped and the id "
        f"was not; delete it from {identity.ids} and replay this record",
    )
