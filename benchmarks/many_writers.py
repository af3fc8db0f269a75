"""What gives way when many writers load one database: locks, WAL and the triggers of the summaries.

    python benchmarks/many_writers.py                      20,000 events for each number of writers
    python benchmarks/many_writers.py --events 100000 --rounds 3
    python benchmarks/many_writers.py --smoke              a few, to see that it runs

1, 2, 4 and 8 processes load shares of the same number of new events, as `WritePostgres` does: into one table and into
partitions by month (`partition_by="month"`), each with the triggers of the summaries and paused. Then the same events
once more, all duplicates.

rate      events/s of all writers together; compare it only with others of the same run
locks     share of the writers' time that they waited for a lock, by sampling pg_stat_activity
worst     the most sessions that waited at one time
WAL       bytes of write-ahead log for each event
CPU       server: CPU microseconds of PostgreSQL's processes for each event; writers: of the writers
sessions  connections to the database, the sampling one left out

The writers are processes of their own. With more of them than cores, waiting for a core looks like waiting for nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import sqlalchemy as sa
from process_cpu import cpu_seconds, postgres_process

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.event_row import EVENT_COLUMNS, PRODUCED_COLUMNS, event_row
from holded_pipeline.postgres.table_loader import TableLoader
from holded_pipeline.postgres.tables import business_events

WRITERS = (1, 2, 4, 8)
BATCH = 2_000
MONTHS = 12
COMPANIES = 200  # of which each batch has almost all: the summaries' rows are what writers wait for
SECONDS_BETWEEN_SAMPLES = 0.02
PROCESSES = multiprocessing.get_context("forkserver")


@attrs.frozen
class Figures:
    """What was measured of one load."""

    seconds: float
    waited: float
    worst: int
    wal: int
    server_cpu: float
    writers_cpu: float
    sessions: int

    def line(self, events: int, writers: int) -> str:
        """The columns of the table."""
        per_event = 1_000_000 / events
        return (
            f"{events / self.seconds:>9,.0f}{self.waited / writers / self.seconds:>8.0%}{self.worst:>7}"
            f"{self.wal / events:>8,.0f}{self.server_cpu * per_event:>9.0f}{self.writers_cpu * per_event:>9.0f}"
            f"{self.sessions:>10}"
        )


def lines_of(count: int) -> list[bytes]:
    """Lines of new events of about a kilobyte, of the last twelve months."""
    chosen, form = random.Random(count), RowFormat(business_events)  # noqa: S311  nothing secret
    began = datetime.now(UTC) - timedelta(days=30 * MONTHS)
    found = []
    for number in range(count):
        at = began + timedelta(seconds=chosen.randrange(30 * MONTHS * 86_400))
        company, data = (
            f"company {chosen.randrange(COMPANIES)}",
            {"amount": number, "note": chosen.randbytes(300).hex()},
        )
        event = hp.Event(str(uuid.UUID(bytes=chosen.randbytes(16))), f"type {number % 20}", company, at, data)
        found.append(form.line(event_row(event), EVENT_COLUMNS))
    return found


def write(db: hp.Postgres, lines: Sequence[bytes], start: Any, used: Any) -> None:
    """A writer: loads its share, batch by batch."""
    loader = TableLoader(db, business_events, on_conflict="ignore", keep="first", same=PRODUCED_COLUMNS)
    start.wait()
    before = time.process_time()
    for first in range(0, len(lines), BATCH):
        loader.load(EVENT_COLUMNS, lines[first : first + BATCH])
    with used.get_lock():
        used.value += time.process_time() - before
    start.wait()
    loader.close()


class Sampler(threading.Thread):
    """Looks at the sessions of a database until it is stopped."""

    def __init__(self, db: hp.Postgres) -> None:
        super().__init__(daemon=True)
        self._engine = db.engine(poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        self._stopped = threading.Event()
        self.waited, self.worst, self.sessions = 0.0, 0, 0

    def run(self) -> None:
        """Samples."""
        statement = sa.text(
            "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        with self._engine.connect() as connection:
            last = time.perf_counter()
            while not self._stopped.wait(SECONDS_BETWEEN_SAMPLES):
                sessions, waiting = connection.execute(statement).one()
                now = time.perf_counter()
                self.waited += waiting * (now - last)
                last = now
                self.worst, self.sessions = max(self.worst, waiting), max(self.sessions, sessions)

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        self.join()


def scalar(db: hp.Postgres, statement: str) -> Any:
    """The first value that a statement returns, committed."""
    with db.engine(poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        result = connection.execute(sa.text(statement))
        return result.scalar() if result.returns_rows else None


def measure(db: hp.Postgres, lines: Sequence[bytes], writers: int) -> Figures:
    """Loads the lines by so many processes."""
    server = postgres_process(str(scalar(db, "SHOW data_directory")))
    start, used = PROCESSES.Barrier(writers + 1), PROCESSES.Value("d", 0.0)
    shares = [lines[number::writers] for number in range(writers)]
    processes = [PROCESSES.Process(target=write, args=(db, share, start, used), daemon=True) for share in shares]
    for process in processes:
        process.start()
    sampler = Sampler(db)
    sampler.start()
    cpu, lsn = cpu_seconds(server), scalar(db, "SELECT pg_current_wal_lsn()")
    start.wait()
    began = time.perf_counter()
    start.wait(600)
    seconds = time.perf_counter() - began
    cpu, wal = cpu_seconds(server) - cpu, scalar(db, f"SELECT pg_current_wal_lsn() - '{lsn}'::pg_lsn")
    sampler.stop()
    for process in processes:
        process.join()
    return Figures(seconds, sampler.waited, sampler.worst, int(wal), cpu, used.value, sampler.sessions)


def tables(servers: hp.local.Stack, layout: str, *, summaries: bool) -> hp.Postgres:
    """A new database with the business tables."""
    db = servers.new_database()
    hp.migrate(db, partition_by=None if layout == "one table" else "month")
    if layout != "one table":
        scalar(
            db, f"SELECT count(holded_add_month(now() - n * interval '1 month')) FROM generate_series(0, {MONTHS}) n"
        )
    if not summaries:
        hp.pause_analytics(db)
    return db


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1, help="the fastest counts")
    parser.add_argument("--smoke", action="store_true", help="a few events, to see that it runs")
    arguments = parser.parse_args()
    count, numbers = (200, (1, 2)) if arguments.smoke else (arguments.events, WRITERS)
    lines = lines_of(count)
    PROCESSES.set_forkserver_preload(["holded_pipeline"])
    print(f"{count:,} events of {sum(map(len, lines)) // count:,} bytes, {MONTHS} months, {COMPANIES} companies; "
          f"best of {arguments.rounds}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")  # fmt: skip
    head = f"{'rate':>9}{'locks':>8}{'worst':>7}{'WAL':>8}{'server':>9}{'writers':>9}{'sessions':>10}"
    print(f"{'table':<11}{'summaries':<11}{'writers':>8}{'events':>12}{head}")
    with hp.local.stack() as servers:
        for layout in ("one table", "by month"):
            for summaries in (True, False):
                for writers in numbers:
                    report(servers, layout, lines, writers, arguments.rounds, summaries=summaries)


def report(
    servers: hp.local.Stack, layout: str, lines: Sequence[bytes], writers: int, rounds: int, *, summaries: bool
) -> None:
    """Measures one kind of table and prints its figures, for new events and for the same ones again."""
    found: dict[str, list[Figures]] = {"new": [], "known": []}
    for _ in range(rounds):
        db = tables(servers, layout, summaries=summaries)
        for figures in found.values():
            figures.append(measure(db, lines, writers))
        stored = scalar(db, "SELECT count(*) FROM business_events")
        assert stored == len(lines), stored  # noqa: S101  else the figures mean nothing
    for kind, figures in found.items():
        best = min(figures, key=lambda each: each.seconds)
        when = "at once" if summaries else "paused"
        print(f"{layout:<11}{when:<11}{writers:>8}{kind:>12}{best.line(len(lines), writers)}", flush=True)


if __name__ == "__main__":
    main()
