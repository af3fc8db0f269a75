"""Change events of a database, as Debezium writes them: a table that follows the table they come from.

    python examples/change_events.py                    starts real servers and stops them at the end
    python examples/change_events.py --keep data        the same, and keeps the data

A change event has the row before and after, the operation, and the position in the database's log. A sink connector may
store changes in any order and more than once; here `newer_by` lets only a later position replace a row. A deletion
is such a row, too: it says when, so that an older change that comes late does not bring the customer back.

Set `decimal.handling.mode=string` in Debezium: its default encodes decimals as base64 of their bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
import sqlalchemy as sa
from small_example import lines_of, print_rejected, print_rows, run_on_servers, store_sample

RAW = "change_events/raw/"
REJECTED = "change_events/rejected/"

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "public.customers": {
        "type": "object",
        "required": ["op", "source"],
        "properties": {
            "op": {"enum": ["c", "u", "d", "r"]},  # created, updated, deleted, read by a snapshot
            "source": {"type": "object", "required": ["lsn"], "properties": {"lsn": {"type": "integer"}}},
            "after": {"type": ["object", "null"], "required": ["id", "email"]},
        },
    }
}
CUSTOMERS = sa.Table(
    "example_customers",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("email", sa.Text),
    sa.Column("deleted_at", sa.TIMESTAMP(timezone=True)),
    sa.Column("position", sa.Numeric, nullable=False),
)


def debezium(document: Any, source: hp.Source) -> hp.Event:
    """An envelope: a change event, with Kafka Connect's schema around it or without."""
    if document is None:
        raise hp.RejectRecord("tombstone", "null, which Debezium sends after a deletion for Kafka's compaction alone")
    change = document.get("payload", document)
    place = change["source"]
    row = change.get("after") or change["before"]
    table = f"{place['schema']}.{place['table']}"
    return hp.Event(
        # All rows of a snapshot may have one position, and one position many rows, so all of it is the id.
        id=f"{place['db']}.{table}/{row['id']}/{place['lsn']}/{change['op']}",
        type=table,
        company_id=place["db"],
        occurred_at=datetime.fromtimestamp(place["ts_ms"] / 1000, UTC),  # the commit; the outer ts_ms is Debezium's
        data=change,
        source=source,
    )


def customer_row(event: hp.Event) -> dict[str, Any]:
    """The row of a change: of a deletion the key, the time, and no address."""
    is_deleted = event.data["op"] == "d"
    row = event.data["before"] if is_deleted else event.data["after"]
    return {
        "id": row["id"],
        "email": None if is_deleted else row["email"],
        "deleted_at": event.occurred_at if is_deleted else None,
        "position": event.data["source"]["lsn"],
    }


def change(op: str, lsn: int, before: Any, after: Any) -> dict[str, Any]:
    """A change of the table public.customers."""
    place = {"connector": "postgresql", "db": "crm", "schema": "public", "table": "customers"}
    return {"before": before, "after": after, "op": op, "source": {**place, "lsn": lsn, "ts_ms": 1768212000000 + lsn}}


def sample() -> list[Any]:
    """Changes in the wrong order, one of them twice, one that breaks the schema, and a tombstone."""
    ada, ada_moved, ada_now = ({"id": 1, "email": f"ada@example.{domain}"} for domain in ("com", "net", "org"))
    bob = {"id": 2, "email": "bob@example.com"}
    created = change("c", 210, None, bob)
    return [
        change("r", 100, None, ada),
        {"schema": {"type": "struct"}, "payload": change("u", 300, ada_moved, ada_now)},  # with Connect's schema
        change("u", 200, ada, ada_moved),  # older: changes nothing
        created,
        change("d", 400, bob, None),
        None,
        created,  # older than the deletion: does not bring Bob back
        change("c", 500, None, {"id": 3}),  # the schema rejects it: no address
    ]


def build(pipeline: beam.Pipeline, lake: hp.MinIO, db: hp.Postgres) -> None:
    """The pipeline: read, check, and replace what is older."""
    raw = pipeline | hp.ReadMinIO(lake, RAW, envelope=debezium)
    checked = raw.passed | hp.ValidateSchema(SCHEMAS, subject="{type}")
    loaded = checked.passed | hp.WritePostgres(
        db, table=CUSTOMERS, row=customer_row, on_conflict="update", newer_by="position"
    )
    _ = (raw.rejected, checked.rejected, loaded.rejected) | hp.WriteRejected(lake, REJECTED)


def show(lake: hp.MinIO, db: hp.Postgres) -> int:
    """Runs the pipeline once; returns 0 if the table has Ada's last address and Bob deleted."""
    hp.evolve(db, CUSTOMERS, apply=True)
    store_sample(lake, f"{RAW}crm.public.customers+0+0000000000.jsonl", lines_of(sample()))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, lake, db)
    print(hp.run(pipeline))
    print("\ncustomers:")
    rows = print_rows(db, "SELECT * FROM example_customers ORDER BY id")
    print("\nrejected:")
    print_rejected(lake, REJECTED)
    return 0 if [(row["email"], row["position"]) for row in rows] == [("ada@example.org", 300), (None, 400)] else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if the table is as its source."""
    return run_on_servers(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
