"""Kills a pipeline with kill -9 at random moments, runs it again, and counts lost and doubled events.

    python benchmarks/kill_loop.py                    20 kills
    python benchmarks/kill_loop.py --kills 200 --seed 3
    python benchmarks/kill_loop.py --smoke            1 kill, to see that it runs

Each round stores new events, starts the main flow over them in a process of its own, kills it at a random moment, once
or several times, and then lets it finish. At the end everything is counted: each good event is one row, each faulty one
has a dead letter, every object is whole, the summaries equal the events, and one more run changes nothing. The exit
code is 1 if one of these is false.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import apache_beam as beam
import attrs
import sqlalchemy as sa
from apache_beam.options.pipeline_options import PipelineOptions

import holded_pipeline as hp

SCHEMAS = Path(__file__).parent.parent / "examples" / "schemas"
EVENTS = 1_000  # of a round
MOST_KILLS = 3  # of a round
TABLES = ("business_events", "company_analytics", "event_type_summaries", "event_type_companies")


def run_flow(lake: hp.MinIO, db: hp.Postgres, prefix: str, begun: Connection, folder: str) -> None:
    """Runs the main flow in this process; sends True when it starts."""
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    tempfile.tempdir = folder  # a killed process cannot remove what Beam made in it
    p = beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([]))
    raw = p | hp.ReadMinIO(lake, prefix)
    checked = raw.passed | hp.ValidateSchema(hp.SchemaDirectory(SCHEMAS), subject="{type}")
    enriched = checked.passed | hp.Enrich("processing", "business_context", "quality")
    _ = enriched.passed | hp.WriteMinIO(lake, "enriched/", object_bytes=20_000)
    loaded = enriched.passed | hp.WritePostgres(db, batch_rows=100)
    rejected = (raw.rejected, checked.rejected, enriched.rejected, loaded.rejected)
    _ = rejected | hp.WriteRejected(lake, "rejected/", object_bytes=5_000)
    begun.send(True)
    p.run().wait_until_finish()


@attrs.define
class Tally:
    """Counts of kills and events."""

    tried: int = 0
    hit: int = 0
    good: set[str] = attrs.field(factory=set)
    faulty: set[bytes] = attrs.field(factory=set)
    events: int = 0


class Runs:
    """Runs the flow in processes that start quickly, since their parent has imported everything."""

    def __init__(self, lake: hp.MinIO, db: hp.Postgres, folder: str) -> None:
        self._servers = lake, db
        self._folder = folder
        self._context: Any = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["__main__", "holded_pipeline"])

    def begin(self, prefix: str) -> Any:
        """Starts a process; returns when it begins to run the flow."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=run_flow, args=(*self._servers, prefix, theirs, self._folder))
        process.start()
        theirs.close()
        ours.recv()
        return process

    def finish(self, prefix: str) -> float:
        """Runs the flow to its end; returns the seconds."""
        process = self.begin(prefix)
        began = time.monotonic()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"a run that nobody killed ended with code {process.exitcode}")
        return time.monotonic() - began

    def kill(self, prefix: str, after: float) -> bool:
        """Kills a run some seconds after its start; returns whether it was still running."""
        process = self.begin(prefix)
        process.join(after)
        process.kill()
        process.join()
        return bool(process.exitcode == -signal.SIGKILL)


def store_events(lake: hp.MinIO, turn: int, tally: Tally) -> str:
    """New events under a prefix of their own."""
    samples = hp.testing.sample_events(EVENTS, seed=10_000 + turn, faults=0.05)
    prefix = f"raw/{turn:04}/"
    for number, start in enumerate(range(0, EVENTS, EVENTS // 4)):
        body = hp.testing.sample_lines(samples[start : start + EVENTS // 4])
        lake.filesystem().pipe(f"{lake.bucket}/{prefix}{number}.jsonl", body)
    tally.events += len(samples)
    tally.good |= {sample.event_id for sample in samples if sample.fault is None and sample.event_id}
    tally.faulty |= {sample.line for sample in samples if sample.fault}
    return prefix


def documents(lake: hp.MinIO, prefix: str) -> list[dict[str, Any]]:
    """All records under a prefix; an object that is not whole raises."""
    filesystem = lake.filesystem()
    return [
        json.loads(line)
        for key in filesystem.find(f"{lake.bucket}/{prefix}")
        for line in gzip.decompress(filesystem.cat(key)).splitlines()
    ]


def tables(db: hp.Postgres) -> list[list[str]]:
    """All rows of all tables, as text."""
    with db.engine(poolclass=sa.NullPool).connect() as connection:
        return [sorted(str(row) for row in connection.execute(sa.text(f"SELECT * FROM {name}"))) for name in TABLES]


def report(lake: hp.MinIO, db: hp.Postgres, tally: Tally, runs: Runs) -> bool:
    """Counts and prints; returns whether nothing was lost, doubled or changed."""
    with db.engine(poolclass=sa.NullPool).connect() as connection:
        stored = list(connection.execute(sa.text("SELECT event_id FROM business_events")).scalars())
        summed = connection.execute(
            sa.text("SELECT coalesce(sum(total_events), 0) FROM company_analytics")
        ).scalar_one()
    refused = {document["record"]["content"] for document in documents(lake, "rejected/")}
    wanted = {line.decode(errors="replace") for line in tally.faulty if _is_utf8(line)}
    kept = {document["id"] for document in documents(lake, "enriched/")}
    lost = len(tally.good - set(stored)) + len(wanted - refused) + len(tally.good - kept)
    doubled = len(stored) - len(set(stored)) + int(summed) - len(stored)
    differences = len(hp.verify_analytics(db))
    before = tables(db)
    runs.finish("raw/")
    changed = sum(a != b for a, b in zip(before, tables(db), strict=True))
    for name, number in (
        ("kills tried", tally.tried),
        ("kills that hit a running pipeline", tally.hit),
        ("events in", tally.events),
        ("lost", lost),
        ("doubled", doubled),
        ("summaries that are wrong", differences),
        ("tables that one more run changed", changed),
    ):
        print(f"{name:<36}{number:>10,}")
    return not (lost or doubled or differences or changed or set(stored) - tally.good)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Kills, counts, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="1 kill, to see that it runs")
    arguments = parser.parse_args(argv)
    kills = 1 if arguments.smoke else arguments.kills
    chance = random.Random(arguments.seed)  # noqa: S311  no secret
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder, hp.local.stack() as stack:
        lake, db = stack.minio, stack.postgres
        runs = Runs(lake, db, folder)
        duration = runs.finish(store_events(lake, 0, tally))
        turn = 0
        while tally.tried < kills:
            turn += 1
            prefix = store_events(lake, turn, tally)
            for _ in range(min(chance.randint(1, MOST_KILLS), kills - tally.tried)):
                tally.tried += 1
                tally.hit += runs.kill(prefix, chance.uniform(0, duration))
            duration = runs.finish(prefix)
        return 0 if report(lake, db, tally, runs) else 1


if __name__ == "__main__":
    sys.exit(main())
