"""The shipped enrichers in a pipeline: by name, inline, in batches, with their counts."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import attrs
import pytest
import sqlalchemy as sa
from pipeline_runs import run_enrich

import holded_pipeline as hp

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = "a key of more than sixteen characters"


def customer_event(number, **data):
    return hp.Event(
        id=f"e-{number}",
        type="t",
        company_id=f"c-{number % 3}",
        occurred_at=NOON,
        data={"email": f"someone{number}@example.com", **data},
        metadata={"collected_at": (NOON + timedelta(seconds=number)).isoformat()},
        raw=json.dumps(data).encode(),
    )


def test_they_can_be_given_by_name_or_inline_with_settings(run):
    def build(pipeline):
        events = pipeline | beam.Create([customer_event(4)])
        by_name = events | "ByName" >> hp.Enrich("lateness", "fingerprint")
        inline = events | "Inline" >> hp.Enrich("processing", hp.Lateness(3), hp.Fingerprint(["/email"]))
        return {"named": by_name.passed, "inline": inline.passed}

    ran = run(build)
    (named,), (inline,) = ran["named"], ran["inline"]
    assert (named.metadata["lateness"]["seconds"], named.metadata["lateness"]["late"]) == (4, False)
    assert inline.metadata["lateness"]["late"] is True
    assert named.metadata["fingerprint"] != inline.metadata["fingerprint"]
    assert inline.metadata["enrichers"]["fingerprint"] == {"version": "1 -/email", "status": "ok"}


def test_each_has_a_version_that_changes_with_its_settings(db):
    def version(enricher):
        return hp.PluginRegistry().enricher(enricher).version

    lookup = hp.Lookup.table(db, "companies", key="id", of="company_id", name="company")
    mask = hp.Mask(["/email"], key=hp.Secret(KEY))
    assert (version(lookup), version(mask)) == ("1", "1")
    assert version(attrs.evolve(mask, casefold=True)) == "1 casefold"
    assert version(hp.Lateness(900)) == version(hp.Lateness(900.0)) == "1 threshold=900 tolerance=300"
    assert version("lateness") == version(hp.Lateness())


def test_a_lookup_makes_one_query_for_a_batch_and_counts_cache_hits(run, db):
    engine = db.engine()
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE companies (id text PRIMARY KEY, name text)"))
        connection.execute(sa.text("INSERT INTO companies VALUES ('c-0', 'Zero'), ('c-1', 'One')"))
    engine.dispose()
    lookup = hp.Lookup.table(db, "companies", key="id", of="company_id", name="company")

    def build(pipeline):
        events = pipeline | beam.Create([customer_event(number) for number in range(12)])
        return {"passed": (events | hp.Enrich(hp.Enricher("company", lookup, batch_size=6))).passed}

    ran = run(build)
    names = {each.company_id: each.metadata["company"] for each in ran["passed"]}
    assert names == {
        "c-0": {"found": True, "name": "Zero"},
        "c-1": {"found": True, "name": "One"},
        "c-2": {"found": False},
    }
    counted = {name: number for name, number in ran.counters.items() if name.startswith("enrich.company.")}
    assert (counted["enrich.company.found"], counted["enrich.company.missing"]) == (8, 4)
    asked = counted["enrich.company.hits"] + counted["enrich.company.misses"]
    assert counted["enrich.company.misses"] == 3 * counted["enrich.company.loads"] < asked


def test_a_lookup_in_a_database_that_is_down_fails_the_run(run):
    away = hp.Postgres("postgresql://u@127.0.0.1:1/none", retry=hp.Retry(0.2, first_wait=0.01))
    lookup = hp.Lookup.table(away, "companies", key="id", of="company_id")
    with pytest.raises(hp.TransientError, match="the enricher lookup 1, called for event e-1.* did not answer within"):
        run(lambda pipeline: {"all": (pipeline | beam.Create([customer_event(1)]) | hp.Enrich(lookup)).passed})


def test_masked_fields_reach_neither_the_table_nor_the_store(run, lake, db, monkeypatch):
    monkeypatch.setenv("MASK_KEY", KEY)
    mask = hp.Mask(["/email"], key=hp.Secret.env("MASK_KEY"))

    def build(pipeline):
        enriched = pipeline | beam.Create([customer_event(1)]) | hp.Enrich(mask)
        hidden = enriched.passed | "HideFields" >> beam.Map(mask.hide)
        return {"stored": hidden | hp.WriteMinIO(lake, "enriched/"), "rows": (hidden | hp.WritePostgres(db)).passed}

    (stored,) = run(build)["stored"]
    line = lake.filesystem().cat_file(f"{lake.bucket}/{stored.key}")
    engine = db.engine()
    with engine.connect() as connection:
        data, metadata = connection.execute(sa.text("SELECT data, metadata FROM business_events")).one()
    engine.dispose()
    token = mask(customer_event(1))["/email"]
    assert data == {"email": token}
    assert metadata["mask"] == {"/email": token}
    assert b"someone1" not in gzip.decompress(line)
    assert "someone1" not in json.dumps([data, metadata])


def test_fields_are_not_hidden_beside_a_fingerprint_without_a_key(run):
    """The fingerprint comes from an `Enrich` of its own, before that of the mask or after it."""
    mask, keyed = hp.Mask(["/email"], key=hp.Secret(KEY)), hp.Fingerprint(key=hp.Secret(KEY))
    event = customer_event(1)
    for steps in ([hp.Enricher("digest", hp.Fingerprint())], [mask, "fingerprint"]):
        enriched = event
        for step in steps:
            (enriched,) = run_enrich(run, step, events=[enriched])["passed"]
        with pytest.raises(hp.ConfigurationError, match=r"metadata\['(digest|fingerprint)'\] undoes the mask"):
            mask.hide(enriched)
    (enriched,) = run_enrich(run, keyed, events=[event])["passed"]
    (of_hidden,) = run_enrich(run, "fingerprint", events=[mask.hide(enriched)])["passed"]
    assert of_hidden.data["email"] == mask(event)["/email"]
    assert mask.hide(event.with_metadata(file={"sha256": "0" * 64}, enrichers={"file": {"version": "7"}}))
