"""The standard flow as one transform: what it stores, loads, rejects, settles, and what three runs of it leave."""

from __future__ import annotations

import apache_beam as beam
import pytest
from store_contents import documents_below, put_object

import holded_pipeline as hp

SCHEMAS = hp.SchemaDirectory("examples/schemas")
COUNT = 300


@pytest.fixture
def samples(lake):
    found = hp.testing.sample_events(COUNT, seed=3, faults=0.1)
    half = COUNT // 2
    for number, part in enumerate((found[:half], found[half:])):
        put_object(lake, f"raw/{number}.jsonl", b"\n".join(sample.line for sample in part))
    return found


def ingest(run, lake, db, **options):
    return run(lambda p: (p | hp.IngestEvents(lake, db, SCHEMAS, **options))._asdict())


def rows_in(db):
    with db.engine().connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM business_events").scalar_one()


def test_every_record_is_stored_a_duplicate_or_a_dead_letter(run, lake, db, samples):
    ran = ingest(run, lake, db)
    (settled,) = ran["settled"]
    letters = documents_below(lake, "rejected/")
    assert settled.records == COUNT
    assert settled.stored == rows_in(db)
    assert settled.rejected == len(letters) > 0
    assert settled.stored + settled.duplicates + settled.rejected == COUNT
    refused_before = sum(letter["stage"] != "write" for letter in letters)
    assert sum(written.records for written in ran["stored"]) == COUNT - refused_before
    assert {event.id for event in hp.events(lake, "enriched/")} == {event.id for event in ran["events"]}
    assert hp.verify_analytics(db) == []


def test_three_runs_leave_what_one_leaves(run, lake, db, samples):
    ingest(run, lake, db)
    before = sorted(lake.filesystem().find(lake.bucket))
    rows = rows_in(db)
    for _ in range(2):
        (settled,) = ingest(run, lake, db)["settled"]
        assert settled.objects == 0
    data = [key for key in sorted(lake.filesystem().find(lake.bucket)) if "_manifests" not in key]
    assert data == [key for key in before if "_manifests" not in key]
    assert rows_in(db) == rows


def size_of_data(event):
    return {"members": len(event.data)}


def test_own_enrichers_minimum_quality_and_the_error_budget(run, lake, db, samples):
    ran = ingest(run, lake, db, enrichers=(*hp.STANDARD_ENRICHERS, size_of_data), min_quality=0.1)
    assert all("size_of_data" in event.metadata for event in ran["events"])
    with pytest.raises(hp.TooManyRejectedError):
        ingest(run, lake, db, ledger=hp.Ledger(db, "again"), max_rejected=0.01)


def test_a_ledger_is_named_by_bucket_and_prefix_unless_one_is_given(run, lake, db, samples):
    (settled,) = ingest(run, lake, db)["settled"]
    assert settled.ledger == f"{lake.bucket}/raw/"
    (settled,) = ingest(run, lake, db, ledger=hp.Ledger(db, "mine"))["settled"]
    assert (settled.ledger, settled.records, settled.stored) == ("mine", COUNT, 0)


def test_two_flows_in_one_pipeline_are_settled_each_by_itself(run, lake, db, samples):
    put_object(lake, "other/1.jsonl", samples[0].line)

    def build(p):
        one = p | "One" >> hp.IngestEvents(lake, db, SCHEMAS)
        two = p | "Two" >> hp.IngestEvents(lake, db, SCHEMAS, raw="other/")
        return {"settled": (one.settled, two.settled) | beam.Flatten()}

    assert sorted(settled.records for settled in run(build)["settled"]) == [1, COUNT]


def test_wrong_arguments_are_found_where_the_transform_is_made(lake, db):
    with pytest.raises(ValueError, match=r'pass \("quality",\)'):
        hp.IngestEvents(lake, db, SCHEMAS, enrichers="quality")
    with pytest.raises(ValueError, match="no enricher"):
        hp.IngestEvents(lake, db, SCHEMAS, enrichers=("qualty",))
