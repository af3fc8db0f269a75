"""A run settles all of its objects or none, accounts for every record, and names what it wrote in a manifest."""

from __future__ import annotations

import json
from collections import Counter

import apache_beam as beam
import pytest
import sqlalchemy as sa
from store_contents import documents_below, objects_below, put_object

import holded_pipeline as hp
from holded_pipeline.postgres.run_tables import pipeline_run_objects, pipeline_settled_objects

EVENT = {"event_type": "order", "company_id": "c", "timestamp": 1_700_000_000_000}


def put_events(lake, key, *ids, broken=0):
    lines = [json.dumps(EVENT | {"event_id": each}) for each in ids] + ["{"] * broken
    put_object(lake, key, "\n".join(lines).encode())


@pytest.fixture
def ledger(db):
    return hp.Ledger(db, "orders")


def flow(p, lake, ledger, between=None):
    """Read, store, load, dead letters, settled."""
    raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger)
    events = raw.passed if between is None else raw.passed | between
    stored = events | hp.WriteMinIO(lake, "enriched/")
    loaded = events | hp.WritePostgres(ledger.db)
    written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    return (stored, loaded, written) | hp.SettleObjects(ledger)


def run_flow(run, lake, ledger, between=None):
    (settled,) = run(lambda p: {"settled": flow(p, lake, ledger, between)})["settled"]
    return settled


def table_of(db, table):
    with db.engine().connect() as connection:
        return connection.execute(sa.select(table)).mappings().all()


def ids_by_manifest(lake):
    found = Counter()
    for manifest in documents_below(lake, "enriched/_manifests/"):
        found.update(document["id"] for document in documents_below(lake, manifest["key"]))
    return found


def test_three_runs_over_one_prefix_leave_what_one_leaves(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "a", "b", broken=1)
    put_events(lake, "raw/2.jsonl", "b", "c")
    put_object(lake, "raw/empty.jsonl", b"")
    first = run_flow(run, lake, ledger)
    assert (first.objects, first.records, first.stored, first.duplicates, first.rejected) == (3, 5, 3, 1, 1)
    after_one = data_objects(lake)
    assert len(after_one) == 2
    for _ in range(2):
        assert run_flow(run, lake, ledger).objects == 0
    assert data_objects(lake) == after_one
    put_events(lake, "raw/3.jsonl", "d")
    assert run_flow(run, lake, ledger).records == 1
    rows = {row["key"]: row for row in table_of(ledger.db, pipeline_run_objects)}
    assert rows["raw/1.jsonl"]["rejected"] == 1
    assert rows["raw/1.jsonl"]["stored"] + rows["raw/2.jsonl"]["stored"] == 3
    assert all(row["imbalance"] is None for row in rows.values())
    assert {row["key"] for row in table_of(ledger.db, pipeline_settled_objects)} == set(rows)


def data_objects(lake):
    """What runs wrote: enriched events and dead letters, without manifests."""
    found = objects_below(lake, "enriched/") | objects_below(lake, "rejected/")
    return {key: body for key, body in found.items() if "_manifests" not in key}


class LoseOne(beam.DoFn):
    def process(self, event):
        if event.id != "b":
            yield event


class Double(beam.DoFn):
    def process(self, event):
        yield event
        yield event


@pytest.mark.parametrize(("between", "words"), [(LoseOne(), "1 too few"), (Double(), "2 too many")])
def test_a_step_that_loses_or_adds_events_fails_the_run(run, lake, ledger, between, words):
    put_events(lake, "raw/1.jsonl", "a", "b")
    put_events(lake, "raw/2.jsonl")
    with pytest.raises(hp.UnbalancedError, match=rf"raw/1.jsonl: 2 records were read.*{words}"):
        run_flow(run, lake, ledger, beam.ParDo(between))
    assert table_of(ledger.db, pipeline_settled_objects) == []
    assert ids_by_manifest(lake) == {}
    assert run_flow(run, lake, ledger).records == 2


def test_rejections_that_are_not_written_are_missing(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "a", broken=1)

    def build(p):
        raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger)
        loaded = raw.passed | hp.WritePostgres(ledger.db)
        _ = loaded.rejected | hp.WriteRejected(lake, "rejected/")
        return {"settled": loaded | hp.SettleObjects(ledger)}

    with pytest.raises(hp.UnbalancedError, match="2 records were read, 0 rejected before.*1 too few"):
        run(build)


def test_one_stream_over_two_tables_is_one_sink(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", *"abcde", broken=1)
    table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Text, primary_key=True))
    table.create(ledger.db.engine())

    def build(p, nested):
        raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger)
        first, second = raw.passed | beam.Partition(lambda event, _: int(event.id >= "c"), 2)
        one = first | "One" >> hp.WritePostgres(ledger.db)
        two = second | "Two" >> hp.WritePostgres(ledger.db, table=table, row=lambda event: {"k": event.id})
        written = (raw.rejected, one.rejected, two.rejected) | hp.WriteRejected(lake, "rejected/")
        sinks = ((one, two.passed), written) if nested else (one, two, written)
        return {"settled": sinks | hp.SettleObjects(ledger)}

    with pytest.raises(hp.UnbalancedError, match="One has 2 of them, 3 too few and Two has 3 of them, 2 too few"):
        run(lambda p: build(p, nested=False))
    (settled,) = run(lambda p: build(p, nested=True))["settled"]
    assert (settled.records, settled.stored, settled.duplicates, settled.rejected) == (6, 0, 5, 1)


def test_a_sink_of_elements_without_a_source_is_only_waited_for(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "a", "b")
    table = sa.Table("t", sa.MetaData(), sa.Column("n", sa.BigInteger, primary_key=True))
    table.create(ledger.db.engine())

    def build(p):
        raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger)
        stored = raw.passed | hp.WriteMinIO(lake, "enriched/")
        counted = raw.passed | beam.combiners.Count.Globally() | beam.Map(lambda number: {"n": number})
        loaded = counted | hp.WritePostgres(ledger.db, table=table, row=dict)
        written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        return {"settled": (stored, loaded, written) | hp.SettleObjects(ledger)}

    (settled,) = run(build)["settled"]
    assert settled.records == 2


def test_another_run_that_was_quicker_keeps_this_one_from_settling(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "a")
    put_events(lake, "raw/2.jsonl", "b")

    class RunMeanwhile(beam.DoFn):
        def process(self, event):
            if event.id == "a":
                with beam.Pipeline(runner="FnApiRunner") as p:
                    flow(p, lake, ledger)
            yield event

    with pytest.raises(hp.AlreadySettledError, match="settled 2 of the same objects"):
        run_flow(run, lake, ledger, beam.ParDo(RunMeanwhile()))
    assert ids_by_manifest(lake) == {"a": 1, "b": 1}


def test_a_run_id_that_has_settled_is_refused(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "a")
    run(lambda p: {"settled": flow(p, lake, ledger)}, run_id="mine")
    put_events(lake, "raw/2.jsonl", "b")
    with pytest.raises(hp.ConfigurationError, match="the id 'mine' is recorded as settled.*another --run_id"):
        run(lambda p: {"settled": flow(p, lake, ledger)}, run_id="mine")


def test_a_manifest_that_is_missing_is_written_by_the_next_run(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "a")
    run_flow(run, lake, ledger)
    filesystem = lake.filesystem()
    filesystem.rm(f"{lake.bucket}/enriched/_manifests", recursive=True)
    with ledger.db.engine().begin() as connection:
        connection.execute(sa.text("UPDATE pipeline_settlements SET has_manifests = false"))
    run_flow(run, lake, ledger)
    assert ids_by_manifest(lake) == {"a": 1}


def test_what_no_sink_returned_is_refused(lake, ledger):
    p = beam.Pipeline(runner="FnApiRunner")
    raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger)
    stored = raw.passed | hp.WriteMinIO(lake, "enriched/")
    with pytest.raises(TypeError, match="is not what a sink returned"):
        (stored, raw.passed) | hp.SettleObjects(ledger)
    written = raw.rejected | hp.WriteRejected(lake, "rejected/")
    with pytest.raises(TypeError, match="at least one sink for events"):
        written | "Other" >> hp.SettleObjects(ledger)
    with pytest.raises(hp.ConfigurationError, match="nothing in this pipeline reads with the ledger 'other'"):
        (stored, written) | "Third" >> hp.SettleObjects(hp.Ledger(ledger.db, "other"))


def test_readers_of_manifests_see_only_what_settled_runs_wrote(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "a", "b")
    with pytest.raises(hp.UnbalancedError):
        run_flow(run, lake, ledger, beam.ParDo(LoseOne()))
    run_flow(run, lake, ledger)
    put_events(lake, "raw/2.jsonl", "c")
    run_flow(run, lake, ledger)

    def read(p, **options):
        read = p | hp.ReadMinIO(lake, "enriched/", envelope="event", **options)
        return {"events": read.passed, "rejected": read.rejected}

    assert sorted(event.id for event in run(lambda p: read(p, manifest=True))["events"]) == ["a", "b", "c"]
    everything = run(read)
    assert sorted(event.id for event in everything["events"]) == ["a", "a", "b", "c"]
    assert everything["rejected"] == []  # manifests are not taken for events
    assert sorted(event.id for event in hp.events(lake, "enriched/")) == ["a", "a", "b", "c"]
    with pytest.raises(ValueError, match="the prefix that WriteMinIO was given"):
        hp.ReadMinIO(lake, "enriched/*", manifest=True)


def test_without_a_manifest_nothing_is_read_and_said_so(run, lake, caplog):
    put_events(lake, "enriched/1.jsonl", "a")
    run(lambda p: {"events": (p | hp.ReadMinIO(lake, "enriched/", envelope="flat", manifest=True)).passed})
    assert "no object of" in caplog.text
    assert "is in a manifest below 'enriched/'" in caplog.text


def judge(event):
    return {"drop": True, "keep": False}.get(event.id) or event.data["missing"] if event.id != "keep" else False


def test_declared_drops_are_accounted_for(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "drop", "keep", "broken")

    def build(p):
        raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger)
        kept = raw.passed | hp.DropEvents(judge, reason="unwanted")
        loaded = kept.passed | hp.WritePostgres(ledger.db)
        written = (raw.rejected, kept.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        return {"settled": (loaded, written) | hp.SettleObjects(ledger), "kept": kept.passed}

    ran = run(build)
    (settled,) = ran["settled"]
    assert [event.id for event in ran["kept"]] == ["keep"]
    assert (settled.records, settled.stored, settled.dropped, settled.rejected) == (3, 1, 1, 1)
    assert ran.counters["drop.dropped.unwanted"] == 1
    (letter,) = documents_below(lake, "rejected/")
    assert (letter["stage"], letter["reason"]) == ("drop", "drop_error")
    with pytest.raises(ValueError, match="snake_case"):
        hp.DropEvents(judge, reason="Not Wanted")


def test_what_a_replay_stored_is_in_a_manifest(run, lake, ledger):
    put_events(lake, "raw/1.jsonl", "a", "b")

    def build(p, read, schemas):
        back = p | read
        checked = back.passed | hp.ValidateSchema(schemas, subject="order")
        stored = checked.passed | hp.WriteMinIO(lake, "enriched/")
        loaded = checked.passed | hp.WritePostgres(ledger.db)
        written = (back.rejected, checked.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        return back, stored, loaded, written

    def ingest(p):
        _, *sinks = build(p, hp.ReadMinIO(lake, "raw/", envelope="flat", new_only=ledger), {"order": {"const": 1}})
        return {"settled": tuple(sinks) | hp.SettleObjects(ledger)}

    def replay(p):
        back, stored, loaded, written = build(p, hp.ReadRejected(lake, "rejected/", envelope="flat"), {"order": True})
        after = (stored, loaded.passed, written)
        return {"settled": back.passed | hp.SettleRejected(lake, "rejected/", after=after)}

    run(ingest)
    assert ids_by_manifest(lake) == {}
    for _ in range(2):
        run(replay)
        assert ids_by_manifest(lake) == {"a": 1, "b": 1}
