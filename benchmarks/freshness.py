"""How long it takes from the acknowledgement of POST /collect until the row is in PostgreSQL.

    python benchmarks/freshness.py                  500 events a second for a minute, a run every 2 seconds
    python benchmarks/freshness.py --rate 100 --seconds 30 --every 5
    python benchmarks/freshness.py --smoke          a few seconds, to see that it runs

It starts a store, a database, the API and a process that runs the pipeline again and again, on loopback, sends from
this process, and asks the database several times a second which rows are there. All of them share this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import attrs
import requests
import sqlalchemy as sa
from api_process import api

import holded_pipeline as hp

KEY = "freshness-benchmark-key-0123456789"
PACKAGE = 50
RUN = "--run-the-pipeline"
_LONGEST_WAIT = 60.0
_POLL_SECONDS = 0.25
_LONGEST_TRANSACTION = timedelta(seconds=10)


@attrs.define
class Seen:
    """When each event was acknowledged, and when its row was seen."""

    acknowledged: dict[str, float] = attrs.field(factory=dict)
    visible: dict[str, float] = attrs.field(factory=dict)

    def waits(self) -> list[float]:
        """Seconds from one to the other, sorted."""
        return sorted(self.visible[key] - sent for key, sent in self.acknowledged.items() if key in self.visible)


def run_pipeline(endpoint: str, bucket: str, access_key: str, url: str, every: str) -> None:
    """What the second process does: the flow from `raw/` into PostgreSQL, until SIGTERM."""
    lake = hp.MinIO(endpoint, bucket=bucket, access_key=access_key, secret_key=hp.Secret.env("MINIO_SECRET_KEY"))
    db = hp.Postgres(url)
    ledger = hp.Ledger(db, "freshness")

    def build() -> beam.Pipeline:
        p = beam.Pipeline(runner="FnApiRunner")
        raw = p | hp.ReadMinIO(lake, "raw/", new_only=ledger, on_empty="ignore")
        loaded = raw.passed | hp.WritePostgres(db)
        written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        _ = (loaded, written) | hp.SettleObjects(ledger)
        return p

    hp.run_every(build, db, name="freshness", every=float(every))


def send(url: str, rate: float, seconds: float, seen: Seen) -> None:
    """Sends packages at a rate, from this thread, and notes when each was acknowledged."""
    samples = hp.testing.sample_events(round(rate * seconds), seed=11)
    headers = {"X-API-Key": KEY, "Content-Type": "application/x-ndjson"}
    began = time.monotonic()
    with requests.Session() as session:
        for start in range(0, len(samples), PACKAGE):
            time.sleep(max(0.0, began + start / rate - time.monotonic()))
            package = samples[start : start + PACKAGE]
            body = b"\n".join(each.line for each in package)
            session.post(f"{url}/collect", data=body, headers=headers, timeout=30).raise_for_status()
            now = time.monotonic()
            for each in package:
                seen.acknowledged.setdefault(str(each.event_id), now)


def watch(db: hp.Postgres, seen: Seen, stop: threading.Event) -> None:
    """Notes when each row is seen, until `stop`; the time is taken after the answer, so it is never too early."""
    engine = db.engine()
    since = datetime(1980, 1, 1, tzinfo=UTC)
    query = sa.text("SELECT event_id, created_at FROM business_events WHERE created_at >= :since")
    while not stop.wait(_POLL_SECONDS):
        with engine.connect() as connection:
            rows = connection.execute(query, {"since": since}).all()
        now = time.monotonic()
        for key, created_at in rows:
            seen.visible.setdefault(key, now)
            since = max(since, created_at - _LONGEST_TRANSACTION)
    engine.dispose()


@contextlib.contextmanager
def runner(lake: hp.MinIO, db: hp.Postgres, every: float) -> Iterator[None]:
    """Runs the pipeline in a process of its own."""
    addresses = (lake.endpoint, lake.bucket, lake.access_key, db.url, str(every))
    env = {**os.environ, "MINIO_SECRET_KEY": lake.secret_key.reveal()}
    if db.password is not None:
        env["PGPASSWORD"] = db.password.reveal()
    process = subprocess.Popen([sys.executable, __file__, RUN, *addresses], env=env)  # noqa: S603  this file
    try:
        yield
        process.send_signal(signal.SIGTERM)
        process.wait(_LONGEST_WAIT)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def measure(arguments: argparse.Namespace, stack: hp.local.Stack) -> Seen:
    """Sends, and waits until every row is there or time is up."""
    lake, db, seen, stop = stack.new_bucket(), stack.new_database(), Seen(), threading.Event()
    hp.migrate(db)
    watching = threading.Thread(target=watch, args=(db, seen, stop))
    with api(lake, KEY) as (url, _), runner(lake, db, arguments.every):
        watching.start()
        send(url, arguments.rate, arguments.seconds, seen)
        until = time.monotonic() + _LONGEST_WAIT
        while len(seen.waits()) < len(seen.acknowledged) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        stop.set()
        watching.join()
    return seen


def main() -> int:
    """Prints the figures; returns 1 if an event was not there in the end."""
    if sys.argv[1:2] == [RUN]:
        run_pipeline(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rate", type=float, default=500.0, help="events a second (default: 500)")
    add("--seconds", type=float, default=60.0, help="how long to send (default: 60)")
    add("--every", type=float, default=2.0, help="seconds from the begin of a run to the next (default: 2)")
    add("--smoke", action="store_true", help="a few seconds, to see that it runs")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rate, arguments.seconds, arguments.every = 100.0, 1.0, 0.5
    with hp.local.stack() as stack:
        seen = measure(arguments, stack)
    waits = seen.waits()
    missing = len(seen.acknowledged) - len(waits)
    print(f"{'acknowledged':<32}{len(seen.acknowledged):>12,}")
    print(f"{'not in PostgreSQL':<32}{missing:>12,}")
    for name, share in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0)):
        wait = waits[min(len(waits) - 1, int(len(waits) * share))] if waits else float("nan")
        print(f"{f'seconds until visible, {name}':<32}{wait:>12.2f}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
