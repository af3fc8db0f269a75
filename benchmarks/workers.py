"""The whole flow by 1, 2 and 4 worker processes, and the servers' share of the CPU beside the workers'.

    python benchmarks/workers.py                       20,000 events
    python benchmarks/workers.py --events 100000 --objects 32 --rounds 3
    python benchmarks/workers.py --smoke               a few, to see that it runs

Each worker is a process with a run of its own (`FnApiRunner`) over its share of the objects: read, validate, enrich,
store and load. All of them write to one bucket and one database, which are new for each number of workers. The objects
of a share are below a prefix of its own. Importing is not counted.

rate        events/s of all workers together, from the first start to the last end; compare it only within one run
workers     CPU microseconds of the worker processes for each event
postgres    the same of PostgreSQL's processes
store       the same of the store's processes
busy        all of these CPU seconds, as a share of what the cores of this machine had in that time
sessions    connections to the database, the sampling one left out
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import attrs
import sqlalchemy as sa
from process_cpu import cpu_seconds, postgres_process, store_processes

import holded_pipeline as hp

WORKERS = (1, 2, 4)
SCHEMAS = Path(__file__).parent.parent / "examples" / "schemas"
PROCESSES = multiprocessing.get_context("forkserver")


@attrs.frozen
class Work:
    """What a worker is given."""

    lake: hp.MinIO
    db: hp.Postgres
    prefix: str


def ingest(work: Work, start: Any, used: Any) -> None:
    """A worker: one run over its share."""
    start.wait()
    before = time.process_time()
    with beam.Pipeline(runner="FnApiRunner") as p:
        raw = p | hp.ReadMinIO(work.lake, work.prefix)
        checked = raw.passed | hp.ValidateSchema(hp.SchemaDirectory(SCHEMAS), subject="{type}")
        enriched = checked.passed | hp.Enrich("processing", "business_context", "quality")
        _ = enriched.passed | hp.WriteMinIO(work.lake, "enriched/")
        loaded = enriched.passed | hp.WritePostgres(work.db, migrate=False)
        rejected = (raw.rejected, checked.rejected, enriched.rejected, loaded.rejected)
        _ = rejected | hp.WriteRejected(work.lake, "rejected/")
    with used.get_lock():
        used.value += time.process_time() - before
    start.wait()


def store_shares(lake: hp.MinIO, lines: list[str], objects: int, workers: int) -> list[str]:
    """Writes the events in so many objects, and returns the prefix of each worker's share."""
    files = lake.filesystem()
    for number in range(objects):
        share = lines[number::objects]
        files.pipe(f"{lake.bucket}/raw/{number % workers}/{number}.jsonl", "".join(share).encode())
    return [f"raw/{worker}/" for worker in range(workers)]


def measure(servers: hp.local.Stack, lines: list[str], objects: int, workers: int) -> str:
    """Runs so many workers, and returns the line of the table."""
    lake, db = servers.new_bucket(), servers.new_database()
    hp.migrate(db)
    prefixes = store_shares(lake, lines, objects, workers)
    start, used = PROCESSES.Barrier(workers + 1), PROCESSES.Value("d", 0.0)
    processes = [PROCESSES.Process(target=ingest, args=(Work(lake, db, each), start, used)) for each in prefixes]
    for process in processes:
        process.start()
    with db.engine(poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        postgres = postgres_process(str(connection.exec_driver_sql("SHOW data_directory").scalar()))
        store = store_processes()
        start.wait(300)
        began, before = time.perf_counter(), (cpu_seconds(postgres), cpu_seconds(*store))
        sessions = 0
        while start.n_waiting < workers:
            found = connection.exec_driver_sql(
                "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
            ).scalar()
            sessions = max(sessions, int(found or 0))
            time.sleep(0.05)
            if any(process.exitcode for process in processes):
                raise SystemExit("a worker has failed; see its traceback above")
        seconds = time.perf_counter() - began
        spent = (used.value, cpu_seconds(postgres) - before[0], cpu_seconds(*store) - before[1])
        start.wait()
        stored = connection.exec_driver_sql("SELECT count(*) FROM business_events").scalar()
    for process in processes:
        process.join()
    assert stored == len(lines), stored  # noqa: S101  else the figures mean nothing
    parts = "".join(f"{1_000_000 * each / len(lines):>10,.0f}" for each in spent)
    busy = sum(spent) / seconds / (os.cpu_count() or 1)
    return f"{workers:>8}{len(lines) / seconds:>9,.0f}{parts}{busy:>7.0%}{sessions:>10}"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--objects", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="a few events, to see that it runs")
    arguments = parser.parse_args()
    count, rounds = (200, 1) if arguments.smoke else (arguments.events, arguments.rounds)
    samples = hp.testing.sample_events(count, seed=5, faults=0, duplicates=0)
    lines = [hp.testing.sample_lines([sample]).decode() for sample in samples]
    PROCESSES.set_forkserver_preload(["apache_beam", "holded_pipeline"])
    print(f"{count:,} events, {arguments.objects} objects; CPU microseconds for each event; "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")  # fmt: skip
    print(f"{'workers':>8}{'rate':>9}{'workers':>10}{'postgres':>10}{'store':>10}{'busy':>7}{'sessions':>10}")
    with hp.local.stack() as servers:
        for _ in range(rounds):
            for workers in (1, 2) if arguments.smoke else WORKERS:
                print(measure(servers, lines, arguments.objects, workers), flush=True)


if __name__ == "__main__":
    main()
