"""The same input in several runs: a record that is rejected again for the same reason is one open rejection."""

from __future__ import annotations

import json

import apache_beam as beam

import holded_pipeline as hp

KNOWN = {"good": True}


class Flow:
    """Reads three good records, two of an unknown type and one that is not JSON, as often as it is told."""

    def __init__(self, lake, db):
        self.lake, self.db = lake, db
        kinds = ["good", "bad", "good", "bad", "good"]
        lines = [
            json.dumps({"event_id": f"e{n}", "event_type": kind, "company_id": "c", "timestamp": 1_700_000_000_000})
            for n, kind in enumerate(kinds)
        ]
        lake.filesystem().pipe(f"{lake.bucket}/raw/x.jsonl", "\n".join([*lines, "{"]).encode())

    def run(self, read, schemas, *, settle=False):
        with beam.Pipeline(runner="FnApiRunner") as p:
            read_events = p | read
            checked = read_events.passed | hp.ValidateSchema(schemas, subject="{type}")
            loaded = checked.passed | hp.WritePostgres(self.db)
            again = (read_events.rejected, checked.rejected, loaded.rejected) | hp.WriteRejected(self.lake, "rejected/")
            if settle:
                _ = read_events.passed | hp.SettleRejected(self.lake, "rejected/", after=(loaded.passed, again))

    def ingest(self, schemas=KNOWN):
        self.run(hp.ReadMinIO(self.lake, "raw/", envelope="flat"), schemas)

    def replay(self, schemas=KNOWN):
        self.run(hp.ReadRejected(self.lake, "rejected/", envelope="flat"), schemas, settle=True)

    def open_rejections(self):
        outlook = hp.forecast(self.lake, "rejected/", [], envelope="flat")
        return {f"{stage}: {reason}": sum(new.values()) for (stage, reason), new in outlook.by_reason.items()}


ONCE = {"read: invalid_json": 1, "validate: unknown_subject": 2}


def test_another_run_or_replay_over_the_same_input_makes_no_more_rejections(lake, db):
    flow = Flow(lake, db)
    for step in (flow.ingest, flow.ingest, flow.replay, flow.ingest, flow.replay):
        step()
        assert flow.open_rejections() == ONCE


def test_what_was_settled_stays_settled_and_another_reason_is_another_rejection(lake, db):
    flow = Flow(lake, db)
    flow.ingest()
    flow.replay({"good": True, "bad": True})
    flow.ingest()
    assert flow.open_rejections() == {"read: invalid_json": 1}
    flow.ingest({"good": True, "bad": False})
    assert flow.open_rejections() == {"read: invalid_json": 1, "validate: schema_violation": 2}
