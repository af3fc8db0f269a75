"""A plan and its shares read what one plain run reads; with a ledger they settle it."""

from __future__ import annotations

import gzip
import json
import pickle
from collections import Counter

import pytest
from settled_flow import event_lines
from store_contents import put_object

import holded_pipeline as hp

SMALL = {"unit_bytes": 4_000, "unit_objects": 3}


@pytest.fixture
def filled(lake):
    """A bucket with small, empty, large, compressed and broken objects, and one document over several lines."""
    for number in range(7):
        put_object(lake, f"raw/small-{number}.jsonl", event_lines(f"s{number}-a", f"s{number}-b"))
    put_object(lake, "raw/empty.jsonl", b"")
    put_object(lake, "raw/huge.jsonl", event_lines(*(f"h{n}" for n in range(300)), broken=3))
    put_object(lake, "raw/huge.jsonl.gz", gzip.compress(event_lines(*(f"z{n}" for n in range(300))), 0))
    documents = [json.loads(line) for line in event_lines(*(f"d{n}" for n in range(60))).splitlines()]
    put_object(lake, "raw/documents.json", json.dumps(documents, indent=2).encode())
    put_object(lake, "other/a.jsonl", event_lines("other"))
    return lake


def records(run, lake, *arguments, **settings):
    """How often each event, with its place, and each rejected record came out."""
    read = run(lambda p: (p | hp.ReadMinIO(lake, *arguments, envelope="flat", **settings))._asdict())
    places = [(event.id, event.source) for event in read["passed"]]
    return Counter(places + [(each.reason, each.source) for each in read["rejected"]])


def test_the_shares_of_a_plan_read_what_one_run_reads_each_record_once(filled, run):
    plan = hp.plan(filled, "raw/", **SMALL)
    shares = [pickle.loads(pickle.dumps(share)) for share in plan.shares(3)]
    assert {"raw/huge.jsonl"} == {part.key for unit in plan.units for part in unit.slices if not part.is_whole}
    assert [each.key for each in plan.empty] == ["raw/empty.jsonl"]
    assert (plan.objects, plan.bytes) == (11, sum(share.bytes for share in shares))
    plain = records(run, filled, "raw/", **SMALL)
    assert len(plain) == 7 * 2 + 303 + 300 + 60
    assert sum((records(run, filled, units=share) for share in shares), Counter()) == plain
