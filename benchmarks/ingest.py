"""How fast events are ingested, and a comparison of ways to load them.

    python benchmarks/ingest.py                    20,000 events
    python benchmarks/ingest.py --events 100000
    python benchmarks/ingest.py --smoke            tiny sizes, to see that it runs

Prints events/s of the main flow (read, validate, enrich, store and load) and of its parts, and rows/s of three ways
to load the same rows, and of loading with the summary triggers on and off. All of it on the same servers in the same
run, best of `--rounds`. Compare the ratios; the figures depend on the machine. For each way to load, the client's CPU
time is printed too, since a worker of a pipeline has other work to do.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.event_row import event_row
from holded_pipeline.postgres.table_loader import TableLoader
from holded_pipeline.postgres.tables import business_events
from holded_pipeline.reading.envelopes import holded

SCHEMAS = Path(__file__).parent.parent / "examples" / "schemas"
BATCH = 5_000
IN_FLIGHT = 2


def flow(lake: hp.MinIO, steps: Sequence[str], db: hp.Postgres) -> None:
    """Runs the main flow up to the given steps."""
    with beam.Pipeline(runner="FnApiRunner") as p:
        events = (p | hp.ReadMinIO(lake, "raw/")).passed
        if "validate" in steps:
            events = (events | hp.ValidateSchema(hp.SchemaDirectory(SCHEMAS), subject="{type}")).passed
        if "enrich" in steps:
            events = (events | hp.Enrich("processing", "business_context", "quality")).passed
        if "store" in steps:
            _ = events | hp.WriteMinIO(lake, "enriched/")
        if "load" in steps:
            _ = events | hp.WritePostgres(db)


def by_copy(rows: Sequence[dict[str, Any]], db: hp.Postgres) -> None:
    """COPY and merge, as `WritePostgres` does it: a batch is formatted while a thread loads the one before."""
    form = RowFormat(business_events)
    columns = form.columns(rows[0])
    loader = TableLoader(db, business_events, on_conflict="ignore", keep="first")
    loading: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(max_workers=1) as writer:
        for batch in batches(rows):
            lines = [form.line(row, columns) for row in batch]
            if len(loading) == IN_FLIGHT:
                loading.popleft().result()
            loading.append(writer.submit(loader.load, columns, lines))
        for last in loading:
            last.result()
    loader.close()


def by_executemany(rows: Sequence[dict[str, Any]], db: hp.Postgres) -> None:
    """Psycopg's executemany, which pipelines single INSERTs."""
    columns = list(rows[0])
    insert = sa.insert(business_events).values({name: sa.bindparam(name) for name in columns})
    engine = db.engine()
    statement = f"{insert.compile(dialect=engine.dialect)} ON CONFLICT DO NOTHING"
    processors = {
        name: business_events.columns[name].type.dialect_impl(engine.dialect).bind_processor(engine.dialect)
        for name in columns
    }
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        for batch in batches(rows):
            values = [
                {name: process(row[name]) if (process := processors[name]) else row[name] for name in columns}
                for row in batch
            ]
            raw.cursor().executemany(statement, values)
            raw.commit()
    engine.dispose()


def by_insertmany(rows: Sequence[dict[str, Any]], db: hp.Postgres) -> None:
    """SQLAlchemy's insertmany, which puts many rows into one INSERT."""
    engine = db.engine()
    for batch in batches(rows):
        with engine.begin() as connection:
            statement = sa.dialects.postgresql.insert(business_events).on_conflict_do_nothing()
            connection.execute(statement, list(batch))
    engine.dispose()


def batches(rows: Sequence[dict[str, Any]]) -> Iterable[Sequence[dict[str, Any]]]:
    """The rows, as many at a time as a batch of `WritePostgres` has."""
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def rows_of(samples: Iterable[hp.testing.Sample]) -> list[dict[str, Any]]:
    """Rows of `business_events`."""
    source = hp.Source("bucket", "key", "etag", 1)
    return [event_row(holded(sample.document, source)) for sample in samples]


def new_database(stack: hp.local.Stack, *, triggers: bool) -> hp.Postgres:
    """A database with empty business tables."""
    db = stack.new_database()
    hp.migrate(db)
    if not triggers:
        engine = db.engine()
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE business_events DISABLE TRIGGER USER"))
        engine.dispose()
    return db


def measure(
    name: str, count: int, rounds: int, prepare: Callable[[], hp.Postgres], work: Callable[[hp.Postgres], None]
) -> float:
    """Prints and returns how many of `count` are done in a second, best of `rounds`."""
    seconds = min(timed(prepare(), work)[0] for _ in range(rounds))
    print(f"  {name:<48}{count / seconds:>12,.0f}/s")
    return count / seconds


def compare(
    count: int, rounds: int, prepare: Callable[[], hp.Postgres], ways: dict[str, Callable[[hp.Postgres], None]]
) -> dict[str, float]:
    """Prints and returns what `measure` does of several ways, which take turns, and what each costs the client."""
    taken = [{name: timed(prepare(), work) for name, work in ways.items()} for _ in range(rounds)]
    rates = {name: count / min(turn[name][0] for turn in taken) for name in ways}
    for name, rate in rates.items():
        busy = min(turn[name][1] for turn in taken) / count
        print(f"  {name:<48}{rate:>12,.0f}/s{busy * 1e6:>8,.0f} µs of the client's CPU for each")
    return rates


def timed(db: hp.Postgres, work: Callable[[hp.Postgres], None]) -> tuple[float, float]:
    """Seconds that work takes, and those that this process is busy with it."""
    began, busy = time.perf_counter(), time.process_time()
    work(db)
    return time.perf_counter() - began, time.process_time() - busy


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    arguments = parser.parse_args()
    count, rounds = (100, 1) if arguments.smoke else (arguments.events, arguments.rounds)
    samples = hp.testing.sample_events(count, seed=7)
    print(f"{count:,} events, best of {rounds}; {os.cpu_count()} cores, Python {platform.python_version()}")
    with hp.local.stack() as stack:
        lake = stack.minio
        lake.filesystem().pipe(f"{lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(samples))
        print("The main flow, events (the time that a pipeline takes to start is in it)")
        parts: tuple[str, ...] = ()
        for part in ("read", "validate", "enrich", "store", "load"):
            parts = (*parts, part)
            name = " + ".join(parts)
            measure(name, count, rounds, stack.new_database, partial(flow, lake, parts))
        rows = rows_of(samples)
        print("Loading the same rows of business_events, without triggers")
        ways = {"COPY and merge": by_copy, "executemany": by_executemany, "insertmany": by_insertmany}
        prepare = partial(new_database, stack, triggers=False)
        rates = compare(count, rounds, prepare, {name: partial(way, rows) for name, way in ways.items()})
        for name in ("executemany", "insertmany"):
            print(f"  COPY and merge is {rates['COPY and merge'] / rates[name]:.1f} times as fast as {name}")
        print("COPY and merge, with the triggers that keep the summaries")
        kept = measure(
            "triggers on", count, rounds, partial(new_database, stack, triggers=True), partial(by_copy, rows)
        )
        print(f"  triggers cost {1 - kept / rates['COPY and merge']:.0%} of the rate")


if __name__ == "__main__":
    main()
