"""How long it takes from the acknowledgement of POST /collect until the row is in PostgreSQL.

    python benchmarks/freshness.py                  500 events a second for a minute, a run every 2 seconds
    python benchmarks/freshness.py --rate 100 --seconds 30 --every 5
    python benchmarks/freshness.py --smoke          a few seconds, to see that it runs

It starts a store, a database, the API and a process that runs the pipeline again and again, on loopback, sends from this
process, and asks the database several times a second which rows are there. All of them share this machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import attrs
import requests
import sqlalchemy as sa
from collect_load import api

import holded_pipeline as hp

KEY = "freshness-benchmark-key-0123456789"
PACKAGE = 50
GOAL_SECONDS = 10.0
_START_SECONDS = 60.0
_POLL_SECONDS = 0.25


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
    reading: dict[str, Any] = {"new_only": hp.Ledger(db, "freshness")} if HAS_LEDGER else {}

    def build() -> beam.Pipeline:
        p = beam.Pipeline(runner="FnApiRunner")
        raw = p | hp.ReadMinIO(lake, "raw/", **reading)
        loaded = raw.passed | hp.WritePostgres(db)
        written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        if HAS_LEDGER:
            _ = (loaded, written) | hp.SettleObjects(reading["new_only"])
        return p

    hp.run_every(build, db, name="freshness", every=float(every), on_report=lambda each: print(repr(each), flush=True))


HAS_LEDGER = hasattr(hp, "Ledger") and hasattr(hp, "SettleObjects")


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
            seen.acknowledged.update((each.event.id, now) for each in package if each.event is not None)


def watch(db: hp.Postgres, seen: Seen, stop: threading.Event) -> None:
    """Notes when each row is seen, until `stop`; the time is taken after the answer, so it is never too early."""
    engine = db.engine()
    newest = datetime(1980, 1, 1, tzinfo=UTC)
    query = sa.text("SELECT event_id FROM business_events")
    _ = newest
    while not stop.wait(_POLL_SECONDS):
        with engine.connect() as connection:
            rows = connection.execute(query).scalars().all()
        now = time.monotonic()
        for key in rows:
            seen.visible.setdefault(str(key), now)
    engine.dispose()
