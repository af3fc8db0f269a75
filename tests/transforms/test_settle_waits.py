"""SettleObjects waits for everything that belongs to its run, counts only that, and refuses what it cannot settle."""

from __future__ import annotations

import json
from collections import Counter

import apache_beam as beam
import pytest
import sqlalchemy as sa
from apache_beam.transforms import trigger
from apache_beam.transforms.window import FixedWindows
from store_contents import documents_below, put_object

import holded_pipeline as hp
from holded_pipeline.postgres.run_tables import pipeline_run_objects, pipeline_settled_objects

EVENT = {"event_type": "order", "company_id": "c", "timestamp": 1_700_000_000_000}


def put(lake, key, *ids, broken=0):
    lines = [json.dumps(EVENT | {"event_id": each}) for each in ids] + ["{"] * broken
    put_object(lake, key, "\n".join(lines).encode())


@pytest.fixture
def ledger(db):
    return hp.Ledger(db, "orders")


def rows_of(db, table):
    with db.engine().connect() as connection:
        return connection.execute(sa.select(table)).mappings().all()


def read(p, lake, ledger, prefix="raw/"):
    return p | f"Read {prefix} {ledger.name}" >> hp.ReadMinIO(lake, prefix, envelope="flat", new_only=ledger)


def named_in_manifests(lake):
    named = Counter()
    for line in documents_below(lake, "enriched/_manifests/"):
        named.update(document["id"] for document in documents_below(lake, line["key"]))
    return named


def slow_count(raw):
    """The records, after more shuffles than settling has, so that a runner can count them later than it settles."""
    records = (raw.passed, raw.rejected) | beam.Flatten() | beam.Map(lambda _: 1)
    for number in range(8):
        records |= f"Shuffle{number}" >> beam.Reshuffle()
    return records


@pytest.mark.parametrize("limit", [2, 0.05])
def test_a_run_above_its_error_budget_settles_nothing(run, lake, ledger, limit):
    put(lake, "raw/1.jsonl", "a", broken=5)

    def build(p):
        raw = read(p, lake, ledger)
        stored = raw.passed | hp.WriteMinIO(lake, "enriched/")
        written = raw.rejected | hp.WriteRejected(lake, "rejected/", max_rejected=limit, of=slow_count(raw))
        return {"settled": (stored, written) | hp.SettleObjects(ledger)}

    with pytest.raises(hp.TooManyRejectedError):
        run(build)
    assert rows_of(ledger.db, pipeline_settled_objects) == []


def test_the_manifest_of_two_reads_with_one_ledger_names_all(run, lake, ledger):
    put(lake, "one/1.jsonl", "a", "b")
    put(lake, "two/1.jsonl", "c")

    def build(p):
        first = read(p, lake, ledger, "one/")
        stored_first = first.passed | "StoreFirst" >> hp.WriteMinIO(lake, "enriched/")
        second = read(p, lake, ledger, "two/")
        stored = stored_first, second.passed | "StoreSecond" >> hp.WriteMinIO(lake, "enriched/")
        written = (first.rejected, second.rejected) | hp.WriteRejected(lake, "rejected/")
        return {"settled": (stored, written) | hp.SettleObjects(ledger)}

    (settled,) = run(build)["settled"]
    assert (settled.objects, settled.records) == (2, 3)
    assert named_in_manifests(lake) == Counter("abc")


def test_a_second_settling_with_one_ledger_is_refused(lake, ledger):
    p = beam.Pipeline(runner="FnApiRunner")
    raw = read(p, lake, ledger)
    stored = raw.passed | hp.WriteMinIO(lake, "enriched/")
    loaded = raw.passed | hp.WritePostgres(ledger.db)
    _ = stored | "SettleStored" >> hp.SettleObjects(ledger)
    with pytest.raises(hp.ConfigurationError, match="SettleStored settles the ledger 'orders' already.*one tuple"):
        _ = loaded | "SettleLoaded" >> hp.SettleObjects(ledger)


def test_a_ledger_of_the_same_name_in_another_database_is_another(lake, ledger, stack):
    p = beam.Pipeline(runner="FnApiRunner")
    stored = read(p, lake, ledger).passed | hp.WriteMinIO(lake, "enriched/")
    with pytest.raises(hp.ConfigurationError, match="nothing in this pipeline reads with the ledger 'orders'"):
        _ = stored | hp.SettleObjects(hp.Ledger(stack.new_database(), "orders"))


def test_drops_of_another_ledger_are_its_own(run, lake, ledger):
    put(lake, "raw/1.jsonl", "a", "b")
    put(lake, "others/1.jsonl", "c", "d")
    others = hp.Ledger(ledger.db, "others")

    def build(p):
        first, second = read(p, lake, ledger), read(p, lake, others, "others/")
        stored = first.passed | "StoreFirst" >> hp.WriteMinIO(lake, "enriched/")
        kept = second.passed | hp.DropEvents(lambda event: event.id == "c", reason="test_event")
        kept_stored = kept.passed | "StoreSecond" >> hp.WriteMinIO(lake, "others_enriched/")
        written = first.rejected | "RejectedFirst" >> hp.WriteRejected(lake, "rejected/")
        kept_written = (second.rejected, kept.rejected) | "RejectedSecond" >> hp.WriteRejected(lake, "rejected/")
        return {
            "first": (stored, written) | "SettleFirst" >> hp.SettleObjects(ledger),
            "second": (kept_stored, kept_written) | "SettleSecond" >> hp.SettleObjects(others),
        }

    settled = run(build)
    assert [(each.objects, each.records, each.dropped) for each in settled["first"]] == [(1, 2, 0)]
    assert [(each.objects, each.records, each.dropped) for each in settled["second"]] == [(1, 2, 1)]
    assert len(rows_of(ledger.db, pipeline_run_objects)) == 2


def not_yet(event):
    raise hp.RejectRecord("not_yet", "not yet")


def test_replays_beside_a_ledger_are_not_of_its_objects(run, lake, ledger):
    put(lake, "raw/1.jsonl", "a")

    def build(p, refuse):
        raw = read(p, lake, ledger)
        replayed = p | hp.ReadRejected(lake, "rejected/", envelope="flat")
        events = (raw.passed, replayed.passed) | beam.Flatten()
        enriched = events | hp.Enrich(not_yet if refuse else "processing")
        stored = enriched.passed | hp.WriteMinIO(lake, "enriched/")
        rejected = (raw.rejected, replayed.rejected, enriched.rejected)
        written = rejected | hp.WriteRejected(lake, "rejected/")
        return {"settled": (stored, written) | hp.SettleObjects(ledger)}

    (first,) = run(lambda p: build(p, refuse=True))["settled"]
    assert (first.objects, first.rejected) == (1, 1)
    put(lake, "raw/2.jsonl", "b")
    (second,) = run(lambda p: build(p, refuse=False))["settled"]
    assert (second.objects, second.records, second.stored) == (1, 1, 1)
    assert named_in_manifests(lake) == Counter("ab")


@pytest.mark.parametrize("accumulates", [False, True])
def test_drops_from_windows_with_triggers_are_accounted_for(run, lake, ledger, accumulates):
    minutes = [EVENT | {"event_id": str(each), "timestamp": 1_700_000_000_000 + each * 60_000} for each in range(30)]
    put_object(lake, "raw/1.jsonl", "\n".join(map(json.dumps, minutes)).encode())
    mode = trigger.AccumulationMode.ACCUMULATING if accumulates else trigger.AccumulationMode.DISCARDING
    windows = beam.WindowInto(
        FixedWindows(300), trigger=trigger.Repeatedly(trigger.AfterCount(2)), accumulation_mode=mode
    )

    def build(p):
        raw = read(p, lake, ledger)
        kept = raw.passed | windows | hp.DropEvents(lambda event: event.id.endswith("7"), reason="seven")
        stored = kept.passed | hp.WriteMinIO(lake, "enriched/")
        loaded = kept.passed | hp.WritePostgres(ledger.db)
        written = (raw.rejected, kept.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        return {"settled": (stored, loaded, written) | hp.SettleObjects(ledger)}

    (settled,) = run(build)["settled"]
    assert (settled.records, settled.stored, settled.dropped) == (30, 27, 3)


def no_row(event):
    raise hp.RejectRecord("no_row", "it has none")


def test_a_record_that_two_tables_reject_is_one_rejected_record(run, lake, ledger):
    put(lake, "raw/1.jsonl", "a", broken=1)
    table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Text, primary_key=True))
    table.create(ledger.db.engine())

    def build(p):
        raw = read(p, lake, ledger)
        first, second = (
            raw.passed | name >> hp.WritePostgres(ledger.db, table=table, row=no_row) for name in ("First", "Second")
        )
        written = (raw.rejected, first.rejected, second.rejected) | hp.WriteRejected(lake, "rejected/")
        return {"settled": (first, second, written) | hp.SettleObjects(ledger)}

    (settled,) = run(build)["settled"]
    assert (settled.records, settled.stored, settled.duplicates, settled.rejected) == (2, 0, 0, 2)


GRANTS = {
    "pipeline_bookmarks": "SELECT, INSERT, UPDATE",
    "pipeline_run_objects": "SELECT, INSERT, UPDATE, DELETE",
    "pipeline_run_outputs": "SELECT, INSERT, UPDATE, DELETE",
    "pipeline_runs": "SELECT, INSERT, UPDATE",
    "pipeline_settled_objects": "SELECT, INSERT",
    "pipeline_settlements": "SELECT, INSERT, UPDATE",
}


def execute(db, *statements):
    with db.engine().begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@pytest.fixture
def loader(db):
    """The database for a user who has the grants of a ledger, and may not migrate."""
    hp.migrate(db)
    name = f"loader_{db.url.rpartition('_')[2]}"
    execute(
        db,
        f"CREATE ROLE {name} LOGIN PASSWORD '{db.password.reveal()}'",
        *(f"GRANT {what} ON {table} TO {name}" for table, what in GRANTS.items()),
    )
    yield hp.Postgres(db.url.replace("//holded@", f"//{name}@"))
    execute(db, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.mark.parametrize("missing", [None, *sorted(GRANTS)])
def test_a_run_needs_the_documented_grants_and_names_a_missing_one(run, lake, db, loader, missing):
    put(lake, "raw/1.jsonl", "a")
    ledger = hp.Ledger(loader, "orders", keys_grow=True, migrate=False)
    user = sa.make_url(loader.url).username

    def build(p):
        stored = read(p, lake, ledger).passed | hp.WriteMinIO(lake, "enriched/")
        return {"settled": stored | hp.SettleObjects(ledger)}

    if missing is None:
        assert [each.records for each in run(build)["settled"]] == [1]
        return
    execute(db, f"REVOKE ALL ON {missing} FROM {user}")
    with pytest.raises(hp.ConfigurationError, match=f"permission denied for table {missing} .*grant the user .* on"):
        run(build)
    assert rows_of(db, pipeline_settled_objects) == []


def side_inputs_by_step(pipeline):
    found = {}

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node):
            found[node.full_label.rpartition("/")[2]] = [each.pvalue for each in node.side_inputs]

    pipeline.visit(Visitor())
    return found


def test_objects_are_recorded_only_after_all_counts_are_known(lake, ledger):
    """What waits for the sums waits for every sink: a manifest never names objects of a run that may still fail."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    raw = read(pipeline, lake, ledger)
    stored = raw.passed | hp.WriteMinIO(lake, "enriched/")
    written = raw.rejected | hp.WriteRejected(lake, "rejected/")
    _ = (stored, written) | hp.SettleObjects(ledger)
    sides = side_inputs_by_step(pipeline)
    assert len(sides["RecordOutputs0"]) == len(sides["RecordAccounts"]) == 1
    assert [each.producer.full_label for each in sides["RecordOutputs0"]] == [
        each.producer.full_label for each in sides["RecordAccounts"]
    ]


@pytest.mark.parametrize(
    "prefixes",
    [("raw/", "raw/"), ("raw/", "raw/a/"), ("raw/a/", "raw/"), ("raw/", "raw/**/*.json"), ("raw/*/", "raw/*/")],
)
def test_prefixes_inside_each_other_are_not_read_with_one_ledger(lake, ledger, prefixes):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    first, second = prefixes
    pipeline | "First" >> hp.ReadMinIO(lake, first, new_only=ledger)
    with pytest.raises(hp.ConfigurationError, match="Second and First both read the objects of"):
        pipeline | "Second" >> hp.ReadMinIO(lake, second, new_only=ledger)


def test_other_prefixes_ledgers_and_buckets_are_read_beside_each_other(lake, ledger, stack):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    for number, (place, prefix, used) in enumerate(
        [
            (lake, "raw/a/", ledger),
            (lake, "raw/b/", ledger),
            (lake, "raw/", hp.Ledger(ledger.db, "another")),
            (stack.new_bucket(), "raw/", ledger),
            (lake, "raw/**/*.json", ledger),
        ]
    ):
        pipeline | f"Read{number}" >> hp.ReadMinIO(place, prefix, new_only=used)


def test_an_object_that_two_globs_match_is_not_read_twice(run, lake, ledger):
    put(lake, "raw/a.jsonl", "a")
    put(lake, "raw/b.jsonl", "b")

    def build(second):
        def both(p):
            first = "First" >> hp.ReadMinIO(lake, "raw/*.jsonl", envelope="flat", new_only=ledger)
            raw = p | first, p | "Second" >> hp.ReadMinIO(lake, second, envelope="flat", new_only=ledger)
            stored = [each.passed for each in raw] | beam.Flatten() | hp.WriteMinIO(lake, "enriched/")
            return {"settled": stored | hp.SettleObjects(ledger)}

        return both

    with pytest.raises(hp.ConfigurationError, match=r"Second and First both read raw/b\.jsonl of .* twice; read"):
        run(build("raw/b*"))
    assert rows_of(ledger.db, pipeline_settled_objects) == []
    assert [each.records for each in run(build("raw/c*"))["settled"]] == [2]
    assert [each.records for each in run(build("raw/b*"))["settled"]] == [0]  # nothing new is read twice
