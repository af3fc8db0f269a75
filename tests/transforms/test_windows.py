"""Windowed input: every element is stored or rejected, as in the global window."""

from __future__ import annotations

import json

import apache_beam as beam
import pytest
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.window import FixedWindows, Sessions

import holded_pipeline as hp

SCHEMAS = {"order": {"properties": {"n": {"type": "integer"}}}}


@pytest.fixture
def orders(lake):
    """Ten valid orders over ten minutes, two that break the schema, and a line that is not JSON."""
    fields = {"event_type": "order", "company_id": "c"}
    lines = [
        json.dumps(
            fields | {"event_id": str(n), "timestamp": 1_772_323_200_000 + 60_000 * n, "n": n if n < 10 else "many"}
        )
        for n in range(12)
    ]
    lake.filesystem().pipe(f"{lake.bucket}/raw/orders.jsonl", "\n".join([*lines, "{"]).encode())
    return lake


@pytest.mark.parametrize("windows", [FixedWindows(120), Sessions(30)], ids=["fixed", "sessions"])
def test_rejections_of_windowed_and_other_transforms_are_written_together(run, orders, db, windows):
    def build(p):
        raw = p | hp.ReadMinIO(orders, "raw/", envelope="flat")
        checked = raw.passed | beam.WindowInto(windows) | hp.ValidateSchema(SCHEMAS, subject="{type}")
        loaded = checked.passed | hp.WritePostgres(db)
        written = (raw.rejected, checked.rejected, loaded.rejected) | hp.WriteRejected(orders, "rejected/")
        return {"receipts": loaded.passed, "written": written}

    ran = run(build)
    assert sum(receipt.inserted for receipt in ran["receipts"]) == 10
    assert sum(written.records for written in ran["written"]) == 3


def test_an_error_handler_accepts_rejections_of_any_window(run, orders, db):
    def build(p):
        with ErrorHandler(hp.WriteRejected(orders, "rejected/")) as handler:
            events = p | hp.ReadMinIO(orders, "raw/", envelope="flat").with_error_handler(handler)
            windowed = events | beam.WindowInto(FixedWindows(120))
            checked = windowed | hp.ValidateSchema(SCHEMAS, subject="{type}").with_error_handler(handler)
            receipts = checked | hp.WritePostgres(db).with_error_handler(handler)
        return {"receipts": receipts, "written": handler.output()}

    ran = run(build)
    assert sum(receipt.inserted for receipt in ran["receipts"]) == 10
    assert sum(written.records for written in ran["written"]) == 3
