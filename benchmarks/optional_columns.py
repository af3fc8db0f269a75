"""What rows cost that omit columns: rows with ten optional fields, and the same rows with one set of columns.

    python benchmarks/optional_columns.py                  4,000 rows
    python benchmarks/optional_columns.py --rows 20000
    python benchmarks/optional_columns.py --smoke          a few, to see that it runs

Each row has some of the fields, by chance, so there are up to 1,024 sets of columns. The fields of one table have no
default; those of the other have one in the database. The second load brings other values for the same keys, and the
bad row of the third kind has a key of its own and violates a check constraint. Best of `--rounds`, on one server;
compare the ratio to one set of columns, not the milliseconds.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.table_loader import OnConflict, TableLoader

FIELDS = [f"field_{number}" for number in range(10)]
ON_CONFLICT: tuple[OnConflict, ...] = ("ignore", "update", "reject")
LOADS = ("first", "second", "one bad row")
Rows = list[dict[str, Any]]


def table_of(name: str, default: str | None) -> sa.Table:
    """A table with ten optional fields."""
    fields = [sa.Column(field, sa.Text, server_default=default) for field in FIELDS]
    check = sa.CheckConstraint("field_0 <> 'bad'")
    return sa.Table(name, sa.MetaData(), sa.Column("id", sa.Text, primary_key=True), *fields, check)


def rows_of(count: int, load: str) -> Rows:
    """Rows that have each field by chance."""
    chosen = random.Random(1)  # noqa: S311  nothing secret
    rows: Rows = [
        {"id": f"key {n:06}", **{field: f"{load} {n}" for field in FIELDS if chosen.random() < 0.5}}  # noqa: PLR2004
        for n in range(count)
    ]
    if load == "one bad row":
        rows[count // 2] = {"id": "bad", "field_0": "bad"}
    return rows


def with_one_set(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """The same rows, NULL in the fields that they omit."""
    return [{**dict.fromkeys(FIELDS), **row} for row in rows]


def seconds(loader: TableLoader, table: sa.Table, rows: Rows, rejected: int) -> float:
    """The seconds that it takes to format the rows and load them."""
    form = RowFormat(table)
    began = time.perf_counter()
    filled = [form.columns(row) for row in rows]
    loaded = loader.load_mixed(filled, [form.line(row, columns) for row, columns in zip(rows, filled, strict=True)])
    took = time.perf_counter() - began
    assert len(loaded.rejected) == rejected, loaded  # noqa: S101  else the figure means nothing
    return took


def round_of(db: hp.Postgres, table: sa.Table, on_conflict: OnConflict, count: int, *, one_set: bool) -> list[float]:
    """The seconds of each load, one after the other, into a new table."""
    engine = db.engine(poolclass=sa.NullPool)
    table.drop(engine, checkfirst=True)
    table.create(engine)
    loader = TableLoader(db, table, on_conflict=on_conflict, keep="first")
    found = []
    for load in LOADS:
        rows = rows_of(count, load)
        known = count if load == "second" else count - 1 if load == "one bad row" else 0
        rejected = (known if on_conflict == "reject" else 0) + (load == "one bad row")
        found.append(seconds(loader, table, with_one_set(rows) if one_set else rows, rejected))
    loader.close()
    return found


def best(db: hp.Postgres, table: sa.Table, on_conflict: OnConflict, count: int, rounds: int) -> list[list[float]]:
    """The best seconds of each load, with one set of columns and with many, which take turns."""
    found: list[list[list[float]]] = [[], []]
    for _ in range(rounds):
        for one_set in (True, False):
            found[not one_set].append(round_of(db, table, on_conflict, count, one_set=one_set))
    return [[min(each) for each in zip(*turns, strict=True)] for turns in found]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a few rows, to see that it runs")
    arguments = parser.parse_args()
    count, rounds = (40, 1) if arguments.smoke else (arguments.rows, arguments.rounds)
    sets = len({tuple(row) for row in rows_of(count, "first")})
    print(f"{count:,} rows with {sets:,} sets of columns, milliseconds; best of {rounds}")
    print(f"{'fields':<18}{'on_conflict':<14}{'load':<14}{'one set':>10}{'sets':>10}{'ratio':>8}")
    with hp.local.stack() as stack:
        for name, default in (("without default", None), ("with default", "of the server")):
            for on_conflict in ON_CONFLICT:
                one, many = best(stack.postgres, table_of("rows", default), on_conflict, count, rounds)
                for load, *each in zip(LOADS, one, many, strict=True):
                    figures = f"{1_000 * each[0]:>10,.0f}{1_000 * each[1]:>10,.0f}{each[1] / each[0]:>8.1f}"
                    print(f"{name:<18}{on_conflict:<14}{load:<14}{figures}", flush=True)


if __name__ == "__main__":
    main()
