"""A pipeline that reads with a ledger and settles nothing would read the same objects again: it says so."""

from __future__ import annotations

import logging

import pytest

import holded_pipeline as hp


def flow(p, lake, db, *, settles):
    ledger = hp.Ledger(db, "orders")
    raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger, on_empty="ignore")
    stored = raw.passed | hp.WriteMinIO(lake, "enriched/")
    written = raw.rejected | hp.WriteRejected(lake, "rejected/")
    return {"done": (stored, written) | hp.SettleObjects(ledger) if settles else stored}


@pytest.mark.parametrize("settles", [True, False])
def test_a_ledger_that_nothing_settles_is_warned_of(run, lake, db, caplog, settles):
    with caplog.at_level(logging.WARNING, "holded_pipeline"):
        ran = run(lambda p: flow(p, lake, db, settles=settles))
    assert ("reads with the ledger 'orders', but nothing settles it" in caplog.text) is not settles
    if settles:
        assert [settled.objects for settled in ran["done"]] == [0]


def test_a_strict_pipeline_does_not_run_with_a_ledger_that_nothing_settles(run, lake, db):
    with pytest.raises(hp.ConfigurationError, match="nothing settles it"):
        run(lambda p: flow(p, lake, db, settles=False), strict=True)
