"""A ledger leaves out what is settled, finds what is new, and forgets what it is asked to."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from store_contents import put_object
from table_contents import run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.run_tables import pipeline_bookmarks, pipeline_settled_objects
from holded_pipeline.runs.new_objects import NewObjects
from holded_pipeline.runs.settled_objects import NEW_OF
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_plan import StoredObject

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = {"event_type": "order", "company_id": "c", "timestamp": 1_700_000_000_000}


def settle(ledger, objects, bucket):
    """Makes entries for objects, as a run does that is over."""
    entry = {"ledger": ledger.name, "bucket": bucket, "run_id": "r1"}
    entries = [entry | {"key": each.key, "etag": each.etag} for each in objects]
    with ledger.db.engine(poolclass=sa.NullPool).begin() as connection:
        connection.execute(pipeline_settled_objects.insert(), entries)


def put_event(lake, key, identity):
    put_object(lake, key, json.dumps(EVENT | {"event_id": identity}).encode())


def listed(lake, prefix="raw/"):
    return list(ObjectStore(lake).objects(prefix))


def listed_object(key, etag="t", modified=LONG_AGO):
    return StoredObject(key, 10, etag, modified)


def found(ledger, objects, pattern="raw/"):
    """The keys of a listing that are new, and the key that it was listed from."""
    began = []

    def list_objects(start_after):
        began.append(start_after)
        return iter(each for each in sorted(objects, key=lambda each: each.key) if each.key > start_after)

    return [each.key for each in NewObjects(ledger, "lake", pattern).find(list_objects)], began[0]


@pytest.fixture
def ledger(db):
    hp.migrate(db)
    return hp.Ledger(db, "orders")


def events_read(run_lake, ledger, **options):
    ids = []
    with beam.Pipeline(runner="FnApiRunner") as p:
        raw = p | hp.ReadMinIO(run_lake, "raw/", envelope="flat", new_only=ledger, **options)
        _ = raw.passed | beam.Map(lambda event: event.id) | beam.combiners.ToList() | beam.Map(print)
        _ = raw.rejected | hp.WriteRejected(run_lake, "rejected/")
    return ids


def test_settled_objects_are_not_read_again(ledger, lake, capsys, caplog):
    for number in range(4):
        put_event(lake, f"raw/{number}.jsonl", f"e{number}")
    settle(ledger, listed(lake)[:3], lake.bucket)
    with caplog.at_level(logging.INFO, "holded_pipeline"):
        events_read(lake, ledger)
    assert capsys.readouterr().out == "['e3']\n"
    assert "listed 4 objects" in caplog.text
    assert "of which 1 are new to the ledger 'orders'" in caplog.text


def test_a_prefix_whose_objects_are_all_settled_is_not_called_empty(ledger, lake, capsys, caplog):
    put_event(lake, "raw/1.jsonl", "e1")
    settle(ledger, listed(lake), lake.bucket)
    events_read(lake, ledger, on_empty="fail")
    assert capsys.readouterr().out == "[]\n"
    assert "no object" not in caplog.text


def test_an_overwritten_object_is_new_and_another_ledger_knows_nothing(ledger, lake, capsys):
    put_event(lake, "raw/1.jsonl", "e1")
    settle(ledger, listed(lake), lake.bucket)
    put_event(lake, "raw/1.jsonl", "e2")
    events_read(lake, ledger)
    events_read(lake, hp.Ledger(ledger.db, "other"))
    assert capsys.readouterr().out == "['e2']\n['e2']\n"


def test_large_objects_are_left_out_too(ledger, lake, capsys):
    put_event(lake, "raw/1.jsonl", "e1")
    settle(ledger, listed(lake), lake.bucket)
    events_read(lake, ledger, unit_bytes=10)
    assert capsys.readouterr().out == "[]\n"


def test_a_hundred_thousand_keys_are_looked_up_in_the_index(ledger):
    objects = [listed_object(f"raw/{number:06}", f"t{number}") for number in range(100_000)]
    with ledger.db.engine().begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO pipeline_settled_objects (ledger, bucket, key, etag, run_id) SELECT 'orders', 'lake', "
                "'raw/' || lpad(n::text, 6, '0'), 't' || n, 'r1' FROM generate_series(0, 99999) AS n "
                "WHERE n % 10000 <> 7"
            )
        )
    assert found(ledger, objects)[0] == [f"raw/{number:06}" for number in range(7, 100_000, 10_000)]
    arguments = {"ledger": "orders", "bucket": "lake", "keys": ["raw/000001"] * 10_000, "etags": ["t1"] * 10_000}
    with ledger.db.engine().connect() as connection:
        plan = connection.execute(sa.text(f"EXPLAIN (FORMAT JSON) {NEW_OF}"), arguments).scalar_one()
    text = json.dumps(plan)
    assert '"Index Only Scan"' in text or '"Index Scan"' in text
    assert '"Seq Scan"' not in text


def test_a_bookmark_passes_neither_new_nor_recent_objects(db):
    ledger = hp.Ledger(db, "orders", keys_grow=True)
    ledger.create_tables()
    now = datetime.now(UTC)
    old = [listed_object("raw/1"), listed_object("raw/2"), listed_object("raw/3")]
    settle(ledger, [old[0], old[2], listed_object("raw/5")], "lake")
    assert found(ledger, [*old, listed_object("raw/5", modified=now)]) == (["raw/2"], "")
    assert found(ledger, [*old, listed_object("raw/4")]) == (["raw/2", "raw/4"], "raw/1")
    settle(ledger, [listed_object("raw/2"), listed_object("raw/4")], "lake")
    everything = [*old, listed_object("raw/4"), listed_object("raw/5", modified=now), listed_object("raw/6")]
    assert found(ledger, everything) == (["raw/6"], "raw/1")
    assert found(ledger, everything) == (["raw/6"], "raw/4")


def test_late_and_overwritten_objects_are_found_by_a_full_listing(db):
    ledger = hp.Ledger(db, "orders", keys_grow=True)
    ledger.create_tables()
    objects = [listed_object(f"raw/{number}") for number in range(5)]
    settle(ledger, objects, "lake")
    assert found(ledger, objects) == ([], "")
    later = [listed_object("raw/0", "t2"), *objects[1:], listed_object("raw/05")]
    assert found(ledger, later) == ([], "raw/4")
    with db.engine().begin() as connection:
        hour = sa.func.make_interval(0, 0, 0, 0, 1)
        table = pipeline_bookmarks
        connection.execute(table.update().values(listed_in_full_at=table.c.listed_in_full_at - hour))
    assert found(ledger, later) == (["raw/0", "raw/05"], "")


def test_each_pattern_has_a_bookmark_of_its_own(db):
    ledger = hp.Ledger(db, "orders", keys_grow=True)
    ledger.create_tables()
    settle(ledger, [listed_object("raw/1")], "lake")
    found(ledger, [listed_object("raw/1")], "raw/*.json")
    assert found(ledger, [listed_object("raw/0"), listed_object("raw/1")], "raw/*.csv") == (["raw/0"], "")


KEYS = st.sampled_from([f"raw/{name}" for name in ("a", "b", "B", "é", "z", "Z/1", "ß", "\U0001f600", "0")])
STEPS = st.lists(st.tuples(st.sampled_from(["put", "settle", "list"]), KEYS, st.integers(0, 1)), max_size=25)


@pytest.fixture(scope="module")
def growing(stack):
    made = hp.Ledger(stack.new_database(), "law", keys_grow=True)
    made.create_tables()
    return made


@settings(max_examples=40)
@given(steps=STEPS)
def test_whatever_happens_nothing_settled_is_new_and_all_else_is_found(growing, steps):
    run_statements(growing.db, *(f"TRUNCATE {each.name}" for each in (pipeline_settled_objects, pipeline_bookmarks)))
    objects, settled = {}, set()
    for what, key, version in steps:
        if what == "put":
            objects[key] = listed_object(key, f"t{version}")
        elif what == "settle" and key in objects and (key, objects[key].etag) not in settled:
            settle(growing, [objects[key]], "lake")
            settled.add((key, objects[key].etag))
        elif what == "list":
            new, _ = found(growing, objects.values())
            assert not [key for key in new if (key, objects[key].etag) in settled]
    everything = {key for key, each in objects.items() if (key, each.etag) not in settled}
    assert set(found(hp.Ledger(growing.db, "law"), objects.values())[0]) == everything


def test_forgotten_objects_are_new_again(ledger, lake):
    for key in ("raw/a/1", "raw/a/2", "raw/b/1"):
        put_event(lake, key, "e")
    settle(ledger, listed(lake), lake.bucket)
    assert [each.key for each in ledger.settled(lake, "raw/a/")] == ["raw/a/1", "raw/a/2"]
    assert ledger.forget(lake, "raw/*/1") == 2
    assert [(each.key, each.run_id) for each in ledger.settled(lake)] == [("raw/a/2", "r1")]
    assert all(each.settled_at.tzinfo for each in ledger.settled(lake))


def test_what_is_forgotten_below_the_bookmark_is_found_at_once(db, lake):
    ledger = hp.Ledger(db, "orders", keys_grow=True)
    ledger.create_tables()
    settle(ledger, [listed_object("raw/1"), listed_object("raw/2")], lake.bucket)
    objects = [listed_object("raw/1"), listed_object("raw/2")]
    new = NewObjects(ledger, lake.bucket, "raw/")
    assert list(new.find(lambda start_after: iter(objects))) == []
    assert ledger.forget(lake, "raw/1") == 1
    again = NewObjects(ledger, lake.bucket, "raw/").find(
        lambda start_after: (each for each in objects if each.key > start_after)
    )
    assert [each.key for each in again] == ["raw/1"]


def test_only_entries_without_their_version_in_the_store_are_pruned(ledger, lake):
    for key in ("raw/1", "raw/2", "raw/é"):
        put_event(lake, key, "e")
    settle(ledger, listed(lake), lake.bucket)
    settle(ledger, [listed_object("raw/0"), listed_object("raw/2", "older"), listed_object("raw/9")], lake.bucket)
    assert ledger.prune(lake, "raw/") == 0
    assert ledger.prune(lake, "raw/", older_than=timedelta(0)) == 3
    assert [each.key for each in ledger.settled(lake)] == ["raw/1", "raw/2", "raw/é"]


def test_nothing_is_pruned_where_nothing_is_listed(ledger, lake):
    settle(ledger, [listed_object("raw/1")], lake.bucket)
    with pytest.raises(hp.ConfigurationError, match="nothing is pruned; check bucket and pattern"):
        ledger.prune(lake, "raw/", older_than=timedelta(0))


def test_missing_tables_and_wrong_arguments_say_what_to_do(db, bare_db, lake):
    with pytest.raises(hp.ConfigurationError, match="pipeline_settled_objects.*hp.migrate"):
        list(hp.Ledger(bare_db, "orders", migrate=False).settled(lake))
    with pytest.raises(ValueError, match="name"):
        hp.Ledger(db, "")
    with pytest.raises(ValueError, match="overlap must be more than 0 seconds"):
        hp.Ledger(db, "orders", overlap=0)
