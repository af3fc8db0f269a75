"""Beam's DataFrames over events: sales by company and day, computed as in pandas, into a table.

    pip install '.[notebook]'                           brings a pandas that Beam knows
    python examples/dataframe_totals.py                 starts real servers and stops them at the end
    python examples/dataframe_totals.py --keep data     the same, and keeps the data; the totals stay the same

Why not Beam SQL: `SqlTransform` starts a Java program, the expansion service, which it downloads first. DataFrames run
in the Python that is there. The totals are those of all events below the prefix, so they replace what is in the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
import sqlalchemy as sa
from small_example import lines_of, print_rejected, print_rows, run_on_servers, store_sample

RAW = "dataframe_totals/raw/"
REJECTED = "dataframe_totals/rejected/"

SCHEMAS = {
    "sale": {"type": "object", "required": ["cents"], "properties": {"cents": {"type": "integer", "minimum": 0}}}
}
TOTALS = sa.Table(
    "example_daily_sales",
    sa.MetaData(),
    sa.Column("company_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("sales", sa.BigInteger, nullable=False),
    sa.Column("amount", sa.Numeric(14, 2), nullable=False),
)
SAMPLE = [
    {
        "event_id": f"sale-{number}",
        "event_type": "sale",
        "company_id": f"company-{number % 2}",
        "timestamp": f"2026-01-1{number % 3}T10:00:00Z",
        "cents": cents,
    }
    for number, cents in enumerate([*range(0, 1100, 100), -1])  # the schema rejects the last one
]


class Sale(NamedTuple):
    """The columns of the DataFrame, with types that both Beam and pandas know; cents, since a float would round."""

    company_id: str
    day: str
    cents: int


def sale_of(event: hp.Event) -> Sale:
    """The columns of an event."""
    return Sale(str(event.company_id), event.occurred_at.date().isoformat(), int(event.data["cents"]))


def total_row(total: Any) -> dict[str, Any]:
    """The row of a total for PostgreSQL; pandas' numbers become Python's."""
    return {
        "company_id": total.company_id,
        "day": total.day,
        "sales": int(total.sales),
        "amount": Decimal(int(total.cents)) / 100,
    }


def build(pipeline: beam.Pipeline, lake: hp.MinIO, db: hp.Postgres) -> None:
    """The pipeline: events to rows, rows to a DataFrame, its groups back to rows, and into the table."""
    try:
        from apache_beam.dataframe.convert import to_dataframe, to_pcollection  # noqa: PLC0415  may be missing
    except (ImportError, AttributeError) as error:  # AttributeError: a pandas that is too new
        raise hp.ConfigurationError(
            f"Beam's DataFrames need a pandas that Beam knows ({error}); pip install 'pandas<2.4'"
        ) from error

    raw = pipeline | hp.ReadMinIO(lake, RAW, envelope="flat")
    checked = raw.passed | hp.ValidateSchema(SCHEMAS, subject="{type}")
    sales = to_dataframe(checked.passed | "AsSale" >> beam.Map(sale_of).with_output_types(Sale))

    sales["sales"] = 1
    by_day = sales.groupby(["company_id", "day"]).sum()  # the operation that shuffles: rows of three columns

    totals = to_pcollection(by_day, include_indexes=True)
    loaded = totals | hp.WritePostgres(db, table=TOTALS, row=total_row, on_conflict="update")
    _ = (raw.rejected, checked.rejected, loaded.rejected) | hp.WriteRejected(lake, REJECTED)


def show(lake: hp.MinIO, db: hp.Postgres) -> int:
    """Runs the pipeline once; returns 0 if the totals are those of the sample."""
    hp.evolve(db, TOTALS, apply=True)
    store_sample(lake, f"{RAW}2026-01.jsonl", lines_of(SAMPLE))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, lake, db)
    hp.run(pipeline)
    print("sales by company and day:")
    rows = print_rows(db, "SELECT * FROM example_daily_sales ORDER BY company_id, day")
    print("rejected:")
    print_rejected(lake, REJECTED)
    return 0 if sum(row["amount"] for row in rows) == sum(range(11)) else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if the totals are right."""
    return run_on_servers(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
