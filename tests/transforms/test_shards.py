"""Runs that are only numbered divide a prefix among them, whenever each of them lists it."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest
from mixed_objects import SMALL_UNITS, records_read, store_mixed_objects
from settled_flow import event_lines
from store_contents import put_object

import holded_pipeline as hp
from holded_pipeline.runs.read_planner import ReadPlanner
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_plan import ReadUnit
from holded_pipeline.store.shards import Shard


def slices_of(lake, number, count, **settings):
    """The slices that one shard reads."""
    planner = ReadPlanner(lake=lake, pattern="raw/", shard=Shard(number, count), **settings)
    store = ObjectStore(lake)
    units = []
    for found in planner.list_units(store):
        units += [found] if isinstance(found, ReadUnit) else planner.split(store, found)
    store.close()
    return [part for unit in units for part in unit.slices]


def shares_of(lake, count, **settings):
    """How many bytes each shard reads."""
    return [sum(part.length for part in slices_of(lake, number, count, **settings)) for number in range(count)]


def test_shards_read_what_one_run_reads_and_no_later_object_twice(lake, run):
    count = store_mixed_objects(lake)
    plain = records_read(run, lake, "raw/", **SMALL_UNITS)
    read = Counter()
    for number in range(3):
        read += records_read(run, lake, "raw/", shard=(number, 3), **SMALL_UNITS)
        for later in range(8):
            put_object(lake, f"raw/later-{number}-{later}.jsonl", event_lines(f"l{number}-{later}"))
    added = {what: times for what, times in read.items() if what not in plain}
    assert {what: times for what, times in read.items() if what in plain} == plain
    assert (len(plain), set(plain.values())) == (count, {1})
    assert set(added.values()) == {1}
    assert all(source.key.startswith("raw/later-") for _, source in added)


def test_a_huge_file_is_read_in_equal_parts_and_each_byte_once(lake):
    body = event_lines(*(f"{n:06}" for n in range(20_000)))
    put_object(lake, "raw/huge.jsonl", body)
    slices = [part for number in range(7) for part in slices_of(lake, number, 7, unit_bytes=100_000)]
    assert b"".join(body[part.start : part.end] for part in sorted(slices, key=lambda part: part.start)) == body
    assert min(part.first_line for part in slices) == 1
    shares = shares_of(lake, 7, unit_bytes=100_000)
    assert max(shares) - min(shares) < 500  # some lines
    assert sum(shares) == len(body)


def test_few_numbered_files_and_many_with_any_names_are_shared_evenly(lake):
    for number in range(4):
        put_object(lake, f"raw/part-{number}.jsonl.gz", gzip.compress(event_lines("a"), 0, mtime=0))
    shares = shares_of(lake, 4)
    assert len(set(shares)) == 1
    for number in range(400):
        put_object(lake, f"raw/{number * number:x}.jsonl", b"x" * 1_000)
    many = [share - shares[0] for share in shares_of(lake, 4)]
    assert sum(many) == 400_000
    assert min(many) > 70_000


def test_an_object_that_cannot_be_cut_is_read_by_its_owner_alone(lake):
    documents = json.dumps([{"a": 1}] * 5_000, indent=2).encode()
    put_object(lake, "raw/documents.json", documents)
    put_object(lake, "raw/lines.jsonl.gz", gzip.compress(event_lines(*map(str, range(400))), 0))
    put_object(lake, "raw/lines.jsonl", b'{"a": 1}\n' * 5_000)
    for settings, cut in (
        ({}, {"raw/lines.jsonl"}),
        ({"layout": "values"}, set()),
        ({"has_records_path": True}, set()),
    ):
        slices = [part for number in range(3) for part in slices_of(lake, number, 3, unit_bytes=4_000, **settings)]
        whole = Counter(part.key for part in slices if part.is_whole)
        assert whole == Counter({"raw/documents.json", "raw/lines.jsonl.gz", "raw/lines.jsonl"} - cut)
        assert {part.key for part in slices if not part.is_whole} == cut


@pytest.mark.parametrize("keys_grow", [False, True])
def test_with_a_ledger_each_object_is_settled_whole_by_its_owner(lake, db, run, keys_grow):
    count = store_mixed_objects(lake)
    ledger = hp.Ledger(db, "orders", keys_grow=keys_grow, overlap=0.001)

    def settle(number):
        def build(p):
            raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger, shard=(number, 2), **SMALL_UNITS)
            loaded = raw.passed | hp.WritePostgres(db)
            written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
            return {"settled": (loaded, written) | hp.SettleObjects(ledger)}

        (settled,) = run(build)["settled"]
        return settled.objects, settled.records

    first = settle(0)
    assert settle(0) == (0, 0)
    second = settle(1)
    assert (first[0] + second[0], first[1] + second[1]) == (12, count)
    assert min(first[0], second[0]) > 0
    assert hp.plan(lake, "raw/", new_only=ledger).objects == 0
    put_object(lake, "raw/zz-1.jsonl", event_lines("z1"))
    put_object(lake, "raw/zz-2.jsonl", event_lines("z2"))
    assert settle(0)[1] + settle(1)[1] == 2
    assert {record.arguments.get("shard") for record in hp.runs(db)} == {"0/2", "1/2"}


def test_only_a_prefix_without_any_object_is_empty_not_a_shard_without_one(lake, caplog, run):
    put_object(lake, "raw/a.jsonl", event_lines("a"))
    read = [records_read(run, lake, "raw/", shard=(number, 2), on_empty="fail") for number in range(2)]
    assert sorted(map(len, read)) == [0, 1]
    assert "no object of" not in caplog.text
    with pytest.raises(hp.ConfigurationError, match="no object of"):
        records_read(run, lake, "other/", shard=(0, 2), on_empty="fail")


def test_a_file_that_vanishes_is_missed_by_no_shard_that_has_a_part(lake, run):
    put_object(lake, "raw/huge.jsonl", event_lines(*(f"h{n}" for n in range(300))))
    planners = [ReadPlanner(lake=lake, pattern="raw/", shard=Shard(n, 3), unit_bytes=4_000) for n in range(3)]
    store = ObjectStore(lake)
    listed = [list(planner.list_units(store)) for planner in planners]
    lake.filesystem().rm(f"{lake.bucket}/raw/huge.jsonl")
    for planner, (stored,) in zip(planners, listed, strict=True):
        (unit,) = planner.split(store, stored)
        plan = hp.ReadPlan(lake.bucket, "raw/", (unit,))
        assert [what for what, _ in records_read(run, lake, units=plan, on_vanished="reject")] == ["object_vanished"]
    store.close()
