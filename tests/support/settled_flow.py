"""A flow that settles its objects, and a process that runs it and is ended by kill -9 at a chosen step."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from preloaded import run_in_process

import holded_pipeline as hp
from holded_pipeline.runs import manifests
from holded_pipeline.runs.settlement import RunSettlement
from holded_pipeline.transforms.workers import settle

EVENT = {"event_type": "order", "company_id": "c", "timestamp": 1_700_000_000_000}
STEPS = ("read", "stored", "loaded", "rejected", "counted", "settled", "manifest")


def event_lines(*ids: str, broken: int = 0) -> bytes:
    """JSON lines of events with these ids, and of what is no event."""
    return "\n".join([*(json.dumps(EVENT | {"event_id": each}) for each in ids), *["{"] * broken]).encode()


def kill_this_process(*_: Any) -> None:
    """As `kill -9` would."""
    os.kill(os.getpid(), signal.SIGKILL)


class KillAfter(beam.DoFn):
    """Lets some elements pass, then ends the process."""

    def __init__(self, elements: int) -> None:
        self._left = elements

    def process(self, element: Any) -> Any:
        if self._left == 0:
            kill_this_process()
        self._left -= 1
        yield element


def settled_flow(p: beam.Pipeline, lake: hp.MinIO, db: hp.Postgres, killed_at: str | None = None) -> beam.PCollection:
    """Read, store, load, dead letters, settled."""
    ledger = hp.Ledger(db, "orders")
    raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger, unit_objects=1)
    events = raw.passed
    if killed_at == "read":
        events = events | "Kill" >> beam.ParDo(KillAfter(2))
    stored = events | hp.WriteMinIO(lake, "enriched/", object_bytes=1)
    loaded = events | hp.WritePostgres(db, batch_rows=1)
    written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    for step, done in (("stored", stored), ("loaded", loaded.passed), ("rejected", written)):
        if killed_at == step:
            _ = done | "Kill" >> beam.ParDo(KillAfter(0))
    return (stored, loaded, written) | hp.SettleObjects(ledger)


def kill_in_settling(step: str) -> None:
    """Ends this process before the transaction, after it, or after a manifest is written and before that is noted."""
    if step == "counted":
        RunSettlement.settle = kill_this_process  # type: ignore[method-assign, assignment]
    elif step == "settled":
        settle.write_manifests = kill_this_process  # type: ignore[assignment]
    elif step == "manifest":
        manifests._mark_written = kill_this_process


def run_until(step: str, lake: hp.MinIO, db: hp.Postgres, run_id: str = "killed") -> int:
    """Runs the flow in a process that is ended at a step; returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        return run_in_process(_run_until, step, lake, db, run_id, folder)


def _run_until(step: str, lake: hp.MinIO, db: hp.Postgres, run_id: str, folder: str) -> None:
    tempfile.tempdir = folder  # a killed process cannot remove what Beam made in it
    kill_in_settling(step)
    with beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([f"--run_id={run_id}"])) as p:
        settled_flow(p, lake, db, step)
