"""What rows cost that PostgreSQL rejects: a batch with bad rows, and the same batch without.

    python benchmarks/poison_rows.py                  batches of 5,000 rows
    python benchmarks/poison_rows.py --rows 20000
    python benchmarks/poison_rows.py --smoke          a few, to see that it runs

Bad rows are of two kinds: a number that is out of range for the column, at which COPY itself stops, and a text that
violates a check constraint. The table is `business_events` with its summary triggers. Best
of `--rounds`, on one server; compare the ratio to the clean batch, not the milliseconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.event_row import event_row
from holded_pipeline.postgres.table_loader import TableLoader
from holded_pipeline.postgres.tables import business_events

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def lines(rows: int, bad: Sequence[int], kind: str, batch: int) -> tuple[tuple[str, ...], list[bytes]]:
    """A batch of formatted rows, of which those at the positions `bad` are bad."""
    form = RowFormat(business_events)
    made = []
    for number in range(rows):
        data: dict[str, Any] = {"n": number, "text": "x" * 300}
        company = f"c{number % 50}"
        if number in bad and kind == "number":
            data["n"] = Decimal("1e-20000")
        elif number in bad:
            company = ""
        event = hp.Event(f"{batch}-{number}", f"type {number % 20}", company, NOON + timedelta(seconds=number), data)
        made.append(event_row(event))
    columns = form.columns(made[0])
    return columns, [form.line(row, columns) for row in made]


def seconds(loader: TableLoader, columns: tuple[str, ...], batch: list[bytes], bad: int) -> float:
    """The seconds that loading takes."""
    began = time.perf_counter()
    loaded = loader.load(columns, batch)
    took = time.perf_counter() - began
    assert (loaded.inserted, len(loaded.rejected)) == (len(batch) - bad, bad)  # noqa: S101  else the figure means nothing
    return took


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a few rows, to see that it runs")
    arguments = parser.parse_args()
    rows, rounds = (200, 1) if arguments.smoke else (arguments.rows, arguments.rounds)
    with hp.local.stack() as stack:
        hp.migrate(stack.postgres)
        with stack.postgres.engine().begin() as connection:
            connection.execute(sa.text("ALTER TABLE business_events ADD CONSTRAINT named CHECK (company_id <> '')"))
        loader = TableLoader(stack.postgres, business_events, on_conflict="ignore", keep="first")
        cases = [("clean", 0)] + [
            (kind, bad) for kind in ("number", "check") for bad in dict.fromkeys((1, max(1, rows // 100), rows))
        ]
        best = dict.fromkeys(cases, float("inf"))
        batch = 0
        for _ in range(rounds):
            for kind, bad in cases:
                positions = [(2 * each + 1) * rows // (2 * bad) for each in range(bad)]
                columns, made = lines(rows, positions, kind, batch)
                batch += 1
                best[kind, bad] = min(best[kind, bad], seconds(loader, columns, made, bad))
        loader.close()
        print(f"{'bad rows':<24}{'milliseconds':>14}{'x clean':>10}")
        for kind, bad in cases:
            name = f"{bad:,} of {rows:,} ({kind})" if bad else f"none of {rows:,}"
            print(f"{name:<24}{1_000 * best[kind, bad]:>14,.0f}{best[kind, bad] / best['clean', 0]:>10.1f}")
        assert hp.verify_analytics(stack.postgres) == []  # noqa: S101  as above


if __name__ == "__main__":
    main()
