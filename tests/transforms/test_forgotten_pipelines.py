"""A process that runs for long keeps nothing of the pipelines that it ran."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import apache_beam as beam
import pytest
from store_contents import put_object

import holded_pipeline as hp


@pytest.mark.parametrize("is_run", [True, False], ids=["run", "only_built"])
def test_a_pipeline_with_a_ledger_is_forgotten(lake, db, is_run):
    """What transforms remember of a pipeline while it is built must not keep it in memory."""

    def build():
        p = beam.Pipeline(runner="FnApiRunner")
        raw = p | hp.ReadMinIO(lake, "raw/", new_only=ledger)
        stored = raw.passed | hp.WriteMinIO(lake, "enriched/")
        loaded = raw.passed | hp.WritePostgres(db)
        written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        _ = (stored, loaded, written) | hp.SettleObjects(ledger)
        if is_run:
            hp.run(p, progress=False)
        return weakref.ref(p), Path(p.local_tempdir)

    ledger = hp.Ledger(db, "load")
    put_object(lake, "raw/a.jsonl", hp.testing.sample_lines(hp.testing.sample_events(5)))
    pipeline, folder = build()
    assert folder.exists() is not is_run
    gc.collect()
    assert pipeline() is None
    assert not folder.exists()
