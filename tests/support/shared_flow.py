"""A flow for the shares of a run, which can be pickled for other processes and can fail once at a chosen moment."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import attrs
from store_contents import put_object
from table_contents import rows_of

import holded_pipeline as hp

EVENT = {"event_type": "order", "company_id": "c", "timestamp": 1_700_000_000_000}
UNIT_BYTES = 2_000


@attrs.frozen
class Once:
    """Fails once, at a receipt of a batch that is committed: by kill -9, or by an outage.

    The marker is a file that the first one makes; it holds the id of the process.
    """

    marker: Path
    how: str

    def __call__(self) -> None:
        try:
            with self.marker.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise hp.TransientError("PostgreSQL did not answer")


@attrs.frozen
class Hold:
    """Makes a file when a batch is committed, and then waits; only in processes with an environment variable."""

    marker: Path
    seconds: float
    only_with: str = "PATH"

    def __call__(self) -> None:
        if self.only_with in os.environ and not self.marker.exists():
            self.marker.touch()
            time.sleep(self.seconds)


class CallAt(beam.DoFn):
    """Calls a function at a number of elements, counted over a bundle."""

    def __init__(self, call: Any, number: int) -> None:
        self._call = call
        self._number = number

    def start_bundle(self) -> None:
        self._seen = 0

    def process(self, _: Any) -> None:
        self._seen += 1
        if self._seen == self._number:
            self._call()


@attrs.frozen
class SharedFlow:
    """Read, store, load, dead letters, settled."""

    lake: hp.MinIO
    db: hp.Postgres
    at_commit: Any = None
    budget: Any = None
    enriched: str = "enriched/"

    @property
    def ledger(self) -> hp.Ledger:
        return hp.Ledger(self.db, "orders")

    def plan(self) -> Any:
        return hp.plan(self.lake, "raw/", new_only=self.ledger, unit_bytes=UNIT_BYTES)

    def __call__(self, pipeline: beam.Pipeline, share: Any) -> None:
        raw = pipeline | hp.ReadMinIO(self.lake, units=share, envelope="flat", new_only=self.ledger)
        events = raw.passed | hp.Enrich("processing")
        stored = events.passed | hp.WriteMinIO(self.lake, self.enriched, object_bytes=1_000)
        loaded = events.passed | hp.WritePostgres(self.db, batch_rows=7)
        if self.at_commit is not None:
            _ = loaded.passed | beam.ParDo(CallAt(self.at_commit, 2))
        rejected = (raw.rejected, events.rejected, loaded.rejected)
        written = rejected | hp.WriteRejected(self.lake, "rejected/", max_rejected=self.budget, of=raw)
        _ = (stored, loaded, written) | hp.SettleObjects(self.ledger)


def put_input(lake: hp.MinIO) -> None:
    """Four objects with 119 records, and an empty one: in each a duplicate and what is no event; one is large."""
    for name, size in (("a", 60), ("b", 20), ("c", 19), ("d", 12)):
        ids = [f"{name}{number}" for number in range(size)]
        lines = [json.dumps(EVENT | {"event_id": each, "data": {"of": each}}) for each in (*ids, ids[1])] + ["{"]
        put_object(lake, f"raw/{name}.jsonl", "\n".join(lines).encode())
    put_object(lake, "raw/empty.jsonl", b"")


def facts(lake: hp.MinIO, db: hp.Postgres) -> dict[str, Any]:
    """All that a run has made: rows, objects with events by their manifests, dead letters, accounts of objects."""
    rejected = {(each.raw, each.source.key, each.source.line) for each in hp.rejected(lake, "rejected/")}
    accounts = "SELECT key, records, stored, duplicates, rejected, imbalance FROM pipeline_run_objects AS object "
    settled = "WHERE EXISTS (SELECT FROM pipeline_settlements AS run WHERE run.run_id = object.run_id) ORDER BY key"
    return {
        "rows": rows_of(db, "SELECT event_id, event_type, company_id, data::text FROM business_events ORDER BY 1"),
        "events": Counter((each.id, repr(each.data)) for each in hp.events(lake, "enriched/", manifest=True)),
        "rejected": rejected,
        "accounts": rows_of(db, accounts + settled),
        "settled": rows_of(db, "SELECT key, etag FROM pipeline_settled_objects ORDER BY key"),
        "wrong summaries": hp.verify_analytics(db),
    }


def plain_facts(lake: hp.MinIO, db: hp.Postgres) -> dict[str, Any]:
    """The facts of one plain run over the same input."""
    put_input(lake)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        SharedFlow(lake, db)(pipeline, SharedFlow(lake, db).plan())
    return facts(lake, db)


def figures(report: hp.RunReport) -> tuple[Any, ...]:
    """The counts of a report that do not depend on how the run was divided."""
    return report.records, report.stored, report.duplicates, report.rejected_total, report.is_balanced
