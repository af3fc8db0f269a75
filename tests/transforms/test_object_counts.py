"""Every step says how many records of each object it had: what it read, stored, loaded and rejected."""

from __future__ import annotations

import json
import random
from collections import Counter

import apache_beam as beam
import pytest
import sqlalchemy as sa
from event_factory import make_event
from pipeline_runs import run_load
from store_contents import put_object

import holded_pipeline as hp
from holded_pipeline.model.object_counts import ObjectCount
from holded_pipeline.postgres.tables import business_events
from holded_pipeline.transforms.beam import accounted


def stored_objects(lake, seed):
    """Objects with good records, records that are no JSON, rows that PostgreSQL rejects, and ids that occur twice."""
    generator = random.Random(seed)
    expected = {}
    for number in range(12):
        lines, key = [], f"raw/{number:02}.jsonl"
        for _ in range(generator.choice((0, 1, 3, 40))):
            kind = generator.choices(("good", "broken", "conflict"), (8, 1, 1))[0]
            identity = f"e{generator.randrange(150)}"
            amount = generator.random() if kind == "conflict" else identity
            event = {"event_id": identity, "event_type": "order", "company_id": "c", "timestamp": 1_700_000_000_000}
            lines.append(b"{" if kind == "broken" else json.dumps(event | {"amount": amount}).encode())
        put_object(lake, key, b"\n".join(lines) + b"\n")
        expected[key] = (len(lines), lines.count(b"{"))
    return expected


def by_key(counts, what="records"):
    totals = Counter()
    for count in counts:
        totals[count.key] += getattr(count, what)
    return totals


@pytest.mark.parametrize("seed", range(4))
def test_the_counts_of_every_step_are_those_of_the_objects(run, lake, db, seed):
    expected = stored_objects(lake, seed)

    def build(p):
        raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", unit_objects=3, new_only=hp.Ledger(db, "l"))
        written = raw.passed | hp.WriteMinIO(lake, "enriched/", partition="{company_id}", object_bytes=500)
        loaded = raw.passed | hp.WritePostgres(db, batch_rows=7)
        refused = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/", object_bytes=300)
        counts, _ = accounted.counts_of(p, accounted.READ, (db.url, "l"))
        return {"read": counts, "written": written, "receipts": loaded.passed, "refused": refused}

    found = run(build)
    broken = {key: number for key, (_, number) in expected.items() if number}
    good = {key: total - bad for key, (total, bad) in expected.items() if total - bad}
    assert by_key(found["read"]) == {key: total for key, (total, _) in expected.items()}
    assert {count.key for count in found["read"]} == set(expected)
    written = [count for each in found["written"] for count in each.objects]
    loaded = [count for each in found["receipts"] for count in each.objects]
    refused = [count for each in found["refused"] for count in each.objects]
    assert by_key(written) == good == by_key(loaded)
    conflicts = by_key(loaded, "rejected")
    assert by_key(refused) == conflicts + Counter(broken)
    duplicates = by_key(loaded, "duplicates")
    assert sum(duplicates.values()) == sum(each.duplicates for each in found["receipts"])
    with db.engine().connect() as connection:
        place = business_events.c.source["key"].astext
        rows = dict(connection.execute(sa.select(place, sa.func.count()).group_by(place)).all())
    assert Counter(good) - duplicates - conflicts == rows
    for each in (*found["written"], *found["receipts"]):
        total = each.records if isinstance(each, hp.WrittenObject) else each.rows
        assert total == sum(count.records for count in each.objects)


def test_the_rows_that_a_batch_updates_or_keeps_are_told_apart_by_object(run, db):
    def event(identity, key, amount):
        source = hp.Source("lake", key, "t", 1)
        return make_event(id=identity, data={"amount": amount}, source=source)

    first = [event("a", "one", 1), event("b", "one", 1)]
    second = [event("a", "one", 1), event("b", "two", 2), event("c", "two", 1), event("c", "three", 1)]
    run_load(run, db, first, on_conflict="update")
    found = run_load(run, db, second, on_conflict="update")
    (receipt,) = found["receipts"]
    assert by_key(receipt.objects, "duplicates") == {"one": 1, "two": 0, "three": 1}


def test_elements_that_the_row_function_rejects_are_in_a_receipt(run, db):
    def row(event):
        if event.id == "bad":
            raise hp.RejectRecord("unwanted", "it is bad")
        return {"k": event.id}

    table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Text, primary_key=True))
    table.create(db.engine())
    source = hp.Source("lake", "raw/1", "t", 1)
    events = [make_event(id=each, source=source) for each in ("bad", "good")]
    found = run_load(run, db, events, table=table, row=row)
    assert sum(each.rows for each in found["receipts"]) == 2
    counts = [count for each in found["receipts"] for count in each.objects]
    assert by_key(counts) == {"raw/1": 2}
    assert by_key(counts, "rejected") == {"raw/1": 1}


def test_elements_without_a_source_are_in_no_count(run, lake):
    source = hp.Source("lake", "raw/1", "t", 1)
    events = [make_event(id="1", source=source), make_event(id="2", source=None)]
    found = run(lambda p: {"written": p | beam.Create(events, reshuffle=False) | hp.WriteMinIO(lake, "copies/")})
    assert sum(each.records for each in found["written"]) == 2
    assert [count for each in found["written"] for count in each.objects] == [ObjectCount("lake", "raw/1", "t", 1)]


def test_a_large_object_is_counted_by_its_slices(run, lake, db):
    line = json.dumps({"event_id": "1", "event_type": "o", "company_id": "c", "timestamp": 1_700_000_000_000})
    put_object(lake, "raw/1.jsonl", "".join(line.replace('"1"', f'"{n}"') + "\n" for n in range(100)).encode())

    def build(p):
        raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", unit_bytes=1000, new_only=hp.Ledger(db, "l"))
        counts, _ = accounted.counts_of(p, accounted.READ, (db.url, "l"))
        return {"read": counts, "passed": raw.passed, "rejected": raw.rejected}

    found = run(build)
    assert len(found["read"]) > 1
    assert by_key(found["read"]) == {"raw/1.jsonl": 100}
