"""Several sources into one table: Holded's messages and a web shop's flat events, both into business_events.

    python examples/several_sources.py                  starts real servers and stops them at the end
    python examples/several_sources.py --keep data      the same, and keeps the data; run it again: nothing is new

Each source has its own prefix and its own envelope. From there on an event is an event: one check, one load, one
dead-letter store, and one ledger that settles what both sources read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
from small_example import lines_of, print_rejected, print_rows, run_on_servers, store_sample

HOLDED = "several_sources/holded/"
SHOP = "several_sources/shop/"
REJECTED = "several_sources/rejected/"

HOLDED_SCHEMAS = hp.SchemaDirectory(Path(__file__).parent / "schemas")
SHOP_SCHEMAS = {
    "shop.order_placed": {
        "type": "object",
        "required": ["order", "total"],
        "properties": {"order": {"type": "string"}, "total": {"type": "number", "minimum": 0}},
    }
}

SHOP_EVENTS = [
    {
        "event_id": f"shop-{number}",
        "event_type": "shop.order_placed",
        "company_id": "company-7",
        "timestamp": f"2026-01-12T10:0{number}:00Z",
        "order": f"A-{number}",
        "total": total,
    }
    for number, total in enumerate([121.0, 20, 7.5, -1])  # the schema rejects the last one
]


def store_samples(lake: hp.MinIO) -> None:
    """Stores what the two producers would have sent."""
    samples = hp.testing.sample_events(50, seed=21, faults=0.04)
    store_sample(lake, f"{HOLDED}2026-01-12.jsonl", hp.testing.sample_lines(samples))
    store_sample(lake, f"{SHOP}2026-01-12.jsonl", lines_of([*SHOP_EVENTS, "not an event at all"]))


def build(pipeline: beam.Pipeline, lake: hp.MinIO, db: hp.Postgres) -> None:
    """The pipeline: two reads with labels of their own, and all that follows once."""
    ledger = hp.Ledger(db, "several_sources")
    holded = pipeline | "ReadHolded" >> hp.ReadMinIO(lake, HOLDED, envelope="holded", new_only=ledger)
    shop = pipeline | "ReadShop" >> hp.ReadMinIO(lake, SHOP, envelope="flat", new_only=ledger)

    # Each source is checked against schemas of its own; with one directory for both, Flatten could come first.
    from_holded = holded.passed | "CheckHolded" >> hp.ValidateSchema(HOLDED_SCHEMAS, subject="{type}")
    from_shop = shop.passed | "CheckShop" >> hp.ValidateSchema(SHOP_SCHEMAS, subject="{type}")

    events = (from_holded.passed, from_shop.passed) | "BothSources" >> beam.Flatten()
    enriched = events | hp.Enrich("processing", "business_context")
    loaded = enriched.passed | hp.WritePostgres(db)

    every_step = (holded, shop, from_holded, from_shop, enriched, loaded)
    written = [step.rejected for step in every_step] | hp.WriteRejected(lake, REJECTED)
    _ = (loaded, written) | hp.SettleObjects(ledger)


def show(lake: hp.MinIO, db: hp.Postgres) -> int:
    """Runs the pipeline once; returns 0 if every record is a row or a dead letter."""
    store_samples(lake)
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, lake, db)
    report = hp.run(pipeline)
    print(report)
    print("\nrows by source:")
    print_rows(
        db,
        "SELECT split_part(source->>'key', '/', 2) AS source, count(*) AS events FROM business_events "
        "WHERE source->>'key' LIKE 'several_sources/%' GROUP BY 1 ORDER BY 1",
    )
    print("\nrejected:")
    print_rejected(lake, REJECTED)
    return 0 if report.is_balanced else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every record is accounted for."""
    return run_on_servers(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
