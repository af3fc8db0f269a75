"""One source to several tables: invoices, payments and the rest, each with a table and a row function of its own.

    python examples/several_tables.py                   starts real servers and stops them at the end
    python examples/several_tables.py --keep data       the same, and keeps the data

The table of invoices and the table of payments come from the schemas that check them, so that one text says what an
invoice is. The table of the rest is written by hand. Each event goes to one of the three, and the ledger counts them as
one sink: an event that none of them took would fail the run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
import sqlalchemy as sa
from small_example import lines_of, print_rejected, print_rows, run_on_servers, store_sample
from sqlalchemy.dialects.postgresql import JSONB

RAW = "several_tables/raw/"
REJECTED = "several_tables/rejected/"

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "invoice": {
        "type": "object",
        "required": ["number", "total", "customer"],
        "properties": {
            "number": {"type": "string", "maxLength": 20},
            "total": {"type": "number", "exclusiveMinimum": 0},
            "due": {"type": "string", "format": "date"},
            "customer": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
    },
    "payment": {
        "type": "object",
        "required": ["id", "invoice", "amount"],
        "properties": {"id": {"type": "string"}, "invoice": {"type": "string"}, "amount": {"type": "number"}},
    },
    "note": {"type": "object"},
}

INVOICES = hp.table_from_schema(
    SCHEMAS, "invoice", name="example_invoices", key="number", nested="flatten", rest="more"
)
PAYMENTS = hp.table_from_schema(SCHEMAS, "payment", name="example_payments", key="id", rest="more")
OTHERS = sa.Table(
    "example_other_events",
    sa.MetaData(),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("data", JSONB, nullable=False),
)
BRANCHES = ("invoice", "payment", "others")


def other_row(event: hp.Event) -> dict[str, Any]:
    """The row of an event that is neither an invoice nor a payment."""
    return {"event_id": event.id, "event_type": event.type, "data": event.data}


def branch_of(event: hp.Event, _branches: int) -> int:
    """The number of the branch that an event takes."""
    return BRANCHES.index(event.type) if event.type in BRANCHES else BRANCHES.index("others")


def sample() -> list[dict[str, Any]]:
    """What one producer would send: three kinds of events in one object, two of them faulty."""
    documents: list[tuple[str, dict[str, Any]]] = [
        ("invoice", {"number": "F-1", "total": 121.0, "due": "2026-02-01", "customer": {"name": "Bakery"}}),
        ("payment", {"id": "p-1", "invoice": "F-1", "amount": 100, "channel": "card"}),
        ("payment", {"id": "p-2", "invoice": "F-1", "amount": 21}),
        ("note", {"text": "paid in two parts"}),
        ("invoice", {"number": "F-2", "total": 0, "customer": {"name": "Cinema"}}),  # the schema rejects it
        ("payment", {"id": "p-3", "invoice": "F-2"}),  # as well
    ]
    around = {"company_id": "company-7", "timestamp": "2026-01-12T10:00:00Z"}
    return [
        {"event_id": f"event-{number}", "event_type": kind, **around, **data}
        for number, (kind, data) in enumerate(documents, 1)
    ]


def build(pipeline: beam.Pipeline, lake: hp.MinIO, db: hp.Postgres) -> None:
    """The pipeline: read and checked once, then three branches."""
    ledger = hp.Ledger(db, "several_tables")
    raw = pipeline | hp.ReadMinIO(lake, RAW, envelope="flat", new_only=ledger)
    checked = raw.passed | hp.ValidateSchema(SCHEMAS, subject="{type}")

    invoices, payments, others = checked.passed | "ByType" >> beam.Partition(branch_of, len(BRANCHES))
    to_invoices = hp.WritePostgres(db, table=INVOICES.table, row=INVOICES.row, on_conflict="update")
    to_payments = hp.WritePostgres(db, table=PAYMENTS.table, row=PAYMENTS.row)
    to_others = hp.WritePostgres(db, table=OTHERS, row=other_row)
    loaded = (
        invoices | "LoadInvoices" >> to_invoices,
        payments | "LoadPayments" >> to_payments,
        others | "LoadOthers" >> to_others,
    )

    rejected = [raw.rejected, checked.rejected, *(branch.rejected for branch in loaded)]
    written = rejected | hp.WriteRejected(lake, REJECTED)
    _ = (loaded, written) | hp.SettleObjects(ledger)  # the tuple in the tuple: three parts of one sink


def show(lake: hp.MinIO, db: hp.Postgres) -> int:
    """Makes the tables and runs the pipeline once; returns 0 if every record is a row or a dead letter."""
    for table in (INVOICES.table, PAYMENTS.table, OTHERS):
        hp.evolve(db, table, apply=True)
    store_sample(lake, f"{RAW}2026-01-12.jsonl", lines_of(sample()))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, lake, db)
    report = hp.run(pipeline)
    print(report)
    for table in (INVOICES.table, PAYMENTS.table, OTHERS):
        print(f"\n{table.name}:")
        print_rows(db, f'SELECT * FROM "{table.name}" ORDER BY 1')
    print("\nrejected:")
    print_rejected(lake, REJECTED)
    return 0 if report.is_balanced else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every record is accounted for."""
    return run_on_servers(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
