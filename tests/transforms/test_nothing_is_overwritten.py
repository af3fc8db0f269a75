"""Branches, copies and retries of one run: different objects and ids never overwrite each other, equal ones do."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import apache_beam as beam
import attrs
import pytest
import sqlalchemy as sa
from apache_beam.transforms.window import SlidingWindows
from store_contents import documents_below, objects_below, put_object

import holded_pipeline as hp

EVENTS = 5
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def raw(lake):
    lines = [
        json.dumps({"event_id": f"e{n}", "event_type": "t", "company_id": "c", "timestamp": 1_700_000_000_000, "n": n})
        for n in range(EVENTS)
    ]
    put_object(lake, "raw/a.jsonl", "\n".join(lines).encode())
    return lambda pipeline: (pipeline | hp.ReadMinIO(lake, "raw/", envelope="flat")).passed


def records(ran):
    return sum(receipt.records for receipt in ran["written"])


def tables():
    metadata = sa.MetaData()
    return [
        sa.Table(name, metadata, sa.Column("id", sa.Text, primary_key=True), sa.Column("a", sa.Text, nullable=False))
        for name in ("one", "two")
    ]


def by_two_schemas(events, _):
    one = events | "One" >> hp.ValidateSchema({"a": {"required": ["x"]}}, subject="a")
    other = events | "Other" >> hp.ValidateSchema({"b": {"required": ["y"]}}, subject="b")
    return one.rejected, other.rejected


def by_two_unknown_subjects(events, _):
    one = events | "One" >> hp.ValidateSchema({}, subject="a")
    other = events | "Other" >> hp.ValidateSchema({}, subject="b")
    return one.rejected, other.rejected


def by_two_tables(events, db):
    one, other = tables()
    one.metadata.create_all(db.engine())
    row = lambda event: {"id": event.id, "a": None}  # noqa: E731  a row function is often one
    to_one = events | "One" >> hp.WritePostgres(db, table=one, row=row)
    to_other = events | "Other" >> hp.WritePostgres(db, table=other, row=row)
    return to_one.rejected, to_other.rejected


def by_two_enrichers(events, _):
    def reject(event):
        raise hp.RejectRecord("odd", "no")

    one = events | "One" >> hp.Enrich(hp.Enricher("one", reject))
    other = events | "Other" >> hp.Enrich(hp.Enricher("other", reject))
    return one.rejected, other.rejected


@pytest.mark.parametrize("joined", [False, True], ids=["apart", "joined"])
@pytest.mark.parametrize("reject", [by_two_schemas, by_two_unknown_subjects, by_two_tables, by_two_enrichers])
def test_an_event_that_two_branches_reject_has_two_rejections(run, lake, db, raw, reject, joined):
    def build(pipeline):
        rejected = reject(raw(pipeline), db)
        budget = {"max_rejected": 1_000} if joined else {}  # which joins them before they are written
        return {"written": rejected | hp.WriteRejected(lake, "rejected/", **budget)}

    assert records(run(build, run_id="fixed")) == 2 * EVENTS
    first = set(objects_below(lake, "rejected/"))
    found = documents_below(lake, "rejected/")
    assert len(found) == len({each["id"] for each in found}) == 2 * EVENTS
    run(build, run_id="fixed")
    again = documents_below(lake, "rejected/")
    assert {each["id"] for each in again} == {each["id"] for each in found}
    assert set(objects_below(lake, "rejected/")) == first


def test_two_branches_may_read_one_prefix_and_each_reject_its_records(run, lake):
    put_object(lake, "raw/a.jsonl", b"broken")

    def build(pipeline):
        one = pipeline | "One" >> hp.ReadMinIO(lake, "raw/")
        other = pipeline | "Other" >> hp.ReadMinIO(lake, "raw/", envelope="flat")
        return {"written": (one.rejected, other.rejected) | hp.WriteRejected(lake, "rejected/")}

    assert records(run(build)) == 2
    assert len({each["id"] for each in documents_below(lake, "rejected/")}) == 2


def test_two_events_of_one_record_have_two_rejections(run, lake, raw):
    def build(pipeline):
        split = raw(pipeline) | beam.FlatMap(
            lambda event: [attrs.evolve(event, id=f"{event.id}-{part}") for part in (1, 2)]
        )
        checked = split | hp.ValidateSchema({}, subject="a")
        return {"written": checked.rejected | hp.WriteRejected(lake, "rejected/")}

    assert records(run(build)) == 2 * EVENTS
    assert len({each["id"] for each in documents_below(lake, "rejected/")}) == 2 * EVENTS


def test_two_branches_may_write_to_one_prefix(run, lake, raw):
    def build(pipeline):
        events = raw(pipeline)
        enriched = (events | hp.Enrich("quality")).passed
        same = events | "Same" >> hp.WriteMinIO(lake, "out/")
        again = events | "Again" >> hp.WriteMinIO(lake, "out/")
        other = enriched | "Enriched" >> hp.WriteMinIO(lake, "out/")
        coded = events | "Coded" >> hp.WriteMinIO(
            lake, "out/", encode=lambda event: b'"%b"' % event.id.encode(), partition=lambda _: "date=2023-11-14"
        )
        return {"written": (same, again, other, coded) | beam.Flatten()}

    assert records(run(build)) == len(documents_below(lake, "out/")) == 4 * EVENTS


@pytest.mark.parametrize("spread", [False, True], ids=["one bundle", "many bundles"])
@pytest.mark.parametrize(
    "change",
    [
        lambda event, part: attrs.evolve(event, data={**event.data, "part": part}),
        lambda event, part: event.with_metadata(part=part),
    ],
    ids=["data", "metadata"],
)
def test_an_event_that_was_split_is_stored_in_all_its_parts(run, lake, raw, change, spread):
    def build(pipeline):
        split = raw(pipeline) | beam.FlatMap(lambda event: [change(event, part) for part in (1, 2)])
        spread_out = split | beam.Reshuffle() if spread else split
        return {"written": spread_out | hp.WriteMinIO(lake, "out/", object_bytes=1)}

    assert records(run(build)) == len(documents_below(lake, "out/")) == 2 * EVENTS


def test_an_event_that_is_twice_in_a_bundle_is_stored_twice(run, lake, raw):
    def build(pipeline):
        twice = raw(pipeline) | beam.FlatMap(lambda event: [event, event])
        return {"written": twice | hp.WriteMinIO(lake, "out/", object_bytes=1)}

    for _ in range(2):
        assert records(run(build, run_id="fixed")) == len(documents_below(lake, "out/")) == 2 * EVENTS


def test_an_event_in_two_windows_is_stored_for_each(run, lake, raw):
    def build(pipeline):
        windowed = raw(pipeline) | beam.WindowInto(SlidingWindows(60, 30))
        return {"written": windowed | hp.WriteMinIO(lake, "out/")}

    assert records(run(build)) == len(documents_below(lake, "out/")) == 2 * EVENTS


def test_the_time_of_processing_makes_no_second_copy_on_a_retry(run, lake, raw):
    def build(pipeline):
        enriched = raw(pipeline) | hp.Enrich("processing", "quality")
        return {"written": enriched.passed | hp.WriteMinIO(lake, "out/")}

    for _ in range(2):
        run(build, run_id="fixed")
        assert len(documents_below(lake, "out/")) == EVENTS


@pytest.mark.parametrize("company", [".", "..", "/", "c" * 255, "😀" * 255, "%", "~"])
@pytest.mark.parametrize("partition", ["{company_id}", "a/{company_id}/{company_id}/{company_id}/{company_id}/b"])
def test_no_company_id_fails_the_run(run, lake, company, partition):
    event = hp.Event(
        id="e", type="t", company_id=company, occurred_at=NOON, data={}, source=hp.Source("b", "k", "e", 1)
    )

    def build(pipeline):
        return {"written": pipeline | beam.Create([event]) | hp.WriteMinIO(lake, "out/", partition=partition)}

    (written,) = run(build)["written"]
    assert set(objects_below(lake, "out/")) == {written.key}
    (found,) = documents_below(lake, "out/")
    assert found["company_id"] == company


def test_what_two_branches_reject_is_replayed_until_each_has_stored_it(run, lake, db, raw):
    one, other = tables()
    one.metadata.create_all(db.engine())

    def branches(pipeline, events, values, more=()):
        loaded = [
            events
            | table.name >> hp.WritePostgres(db, table=table, row=lambda event, v=value: {"id": event.id, "a": v})
            for table, value in zip((one, other), values, strict=True)
        ]
        again = (*more, *(each.rejected for each in loaded)) | hp.WriteRejected(lake, "rejected/")
        return [*(each.passed for each in loaded), again]

    def replay(pipeline, values):
        back = pipeline | hp.ReadRejected(lake, "rejected/", envelope="flat")
        after = branches(pipeline, back.passed, values, [back.rejected])
        return {"settled": back.passed | hp.SettleRejected(lake, "rejected/", after=after)}

    def ids(table):
        with db.engine().connect() as connection:
            return sorted(connection.execute(sa.select(table.c.id)).scalars())

    run(lambda p: {"written": branches(p, raw(p), (None, None))[-1]})
    for values, opened in [((None, None), 2 * EVENTS), (("x", None), 2 * EVENTS), (("x", "x"), 0)]:
        run(lambda p, values=values: replay(p, values))
        assert hp.forecast(lake, "rejected/", [], envelope="flat").matching == opened
    assert ids(one) == ids(other) == [f"e{n}" for n in range(EVENTS)]
