"""A plan and its shares read what one plain run reads; with a ledger they settle it."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
from mixed_objects import SMALL_UNITS, records_read, store_mixed_objects
from settled_flow import event_lines
from store_contents import documents_below, put_object

import holded_pipeline as hp
from holded_pipeline.store.read_plan import ReadUnit, Slice


def settle(run, lake, ledger, **settings):
    """The settlement of a run that loads what it reads with a ledger."""

    def build(p):
        raw = p | hp.ReadMinIO(lake, envelope="flat", new_only=ledger, **settings)
        loaded = raw.passed | hp.WritePostgres(ledger.db)
        written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        return {"settled": (loaded, written) | hp.SettleObjects(ledger)}

    (settled,) = run(build)["settled"]
    return settled


def test_the_shares_of_a_plan_read_what_one_run_reads_each_record_once(lake, run):
    count = store_mixed_objects(lake)
    plan = hp.plan(lake, "raw/", **SMALL_UNITS)
    shares = [pickle.loads(pickle.dumps(share)) for share in plan.shares(3)]
    assert {"raw/huge.jsonl"} == {part.key for unit in plan.units for part in unit.slices if not part.is_whole}
    assert [each.key for each in plan.empty] == ["raw/empty.jsonl"]
    assert (plan.objects, plan.bytes) == (12, sum(share.bytes for share in shares))
    plain = records_read(run, lake, "raw/", **SMALL_UNITS)
    assert (len(plain), set(plain.values())) == (count, {1})
    put_object(lake, "raw/later.jsonl", event_lines("later"))
    assert sum((records_read(run, lake, units=share) for share in shares), Counter()) == plain


def test_shares_settle_all_objects_of_a_plan_the_empty_ones_too(lake, db, run):
    count = store_mixed_objects(lake)
    ledger = hp.Ledger(db, "orders")
    plan = hp.plan(lake, "raw/", new_only=ledger, **SMALL_UNITS)
    first, second = plan.shares(2, whole_objects=True)
    settled = [settle(run, lake, ledger, units=first), settle(run, lake, ledger, units=second)]
    assert [each.objects for each in settled] == [first.objects, second.objects]
    assert sum(each.records for each in settled) == count
    assert {each.key for each in ledger.settled(lake)} > {"raw/empty.jsonl", "raw/huge.jsonl"}
    assert hp.plan(lake, "raw/", new_only=ledger, on_empty="fail").objects == 0
    again = settle(run, lake, ledger, units=first)  # as a scheduler does that lost the answer
    assert (again.objects, again.records) == (0, 0)


def test_a_share_with_a_part_of_an_object_is_not_read_with_a_ledger(lake, db):
    store_mixed_objects(lake)
    share = hp.plan(lake, "raw/huge.json[l]", **SMALL_UNITS).shares(2)[0]
    with pytest.raises(ValueError, match=r"bytes of 'raw/huge.jsonl'.*\.shares\(n, whole_objects=True\)"):
        hp.ReadMinIO(lake, units=share, new_only=hp.Ledger(db, "orders"))


def test_an_object_that_changed_since_the_plan_fails_the_run_or_is_rejected(lake, run):
    for name in ("kept", "deleted", "overwritten"):
        put_object(lake, f"raw/{name}.jsonl", event_lines(name))
    plan = hp.plan(lake, "raw/")
    lake.filesystem().rm(f"{lake.bucket}/raw/deleted.jsonl")
    put_object(lake, "raw/overwritten.jsonl", event_lines("another"))
    read = records_read(run, lake, units=plan, on_vanished="reject")
    assert sorted((what, source.key) for what, source in read) == [
        ("kept", "raw/kept.jsonl"),
        ("object_vanished", "raw/deleted.jsonl"),
        ("object_vanished", "raw/overwritten.jsonl"),
    ]
    with pytest.raises(hp.ObjectVanishedError, match="raw/"):
        records_read(run, lake, units=plan)


def test_the_standard_flow_takes_a_share(lake, db, run):
    lines = [sample.line for sample in hp.testing.sample_events(40, seed=3, faults=0.1)]
    for number in range(4):
        put_object(lake, f"raw/{number}.jsonl", b"\n".join(lines[number::4]))
    for share in hp.plan(lake, "raw/", unit_objects=1).shares(2):
        ingest = hp.IngestEvents(lake, db, hp.SchemaDirectory("examples/schemas"), units=share)
        run(lambda p, ingest=ingest: {"settled": (p | ingest).settled})
    assert len(list(hp.Ledger(db, f"{lake.bucket}/raw/").settled(lake))) == 4
    assert len(list(hp.events(lake, "enriched/"))) + len(documents_below(lake, "rejected/")) == 40


def test_a_prefix_without_objects_is_reported_when_it_is_planned(lake, caplog, run):
    assert hp.plan(lake, "raw/").objects == 0
    assert "no object of" in caplog.text
    with pytest.raises(hp.ConfigurationError, match="no object of"):
        hp.plan(lake, "raw/", on_empty="fail")
    caplog.clear()
    assert records_read(run, lake, units=hp.ReadPlan(lake.bucket, "raw/"), on_empty="fail") == Counter()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "words"),
    [
        ((), {}, ValueError, r"a prefix or pattern, or units=hp\.plan"),
        (("raw/",), {"units": "plan"}, ValueError, "not both"),
        (("plan",), {}, TypeError, r"hp\.ReadMinIO\(lake, units=plan\)"),
        ((), {"units": ["a", "b"]}, TypeError, r"must be a ReadPlan, got list; .*\.shares"),
        ((), {"units": "plan", "shard": (0, 2)}, ValueError, "shard or units, not both"),
        ((), {"units": "elsewhere"}, ValueError, "of the bucket 'elsewhere', but the store's is 'holded'"),
        ((), {"units": "plan", "records": "/a/*"}, ValueError, "cuts 'k' between lines, which records does not"),
        ((), {"units": "plan", "layout": "values"}, ValueError, 'layout="values" does not allow'),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_when_the_step_is_made(arguments, settings, error, words):
    lake = hp.MinIO("http://localhost:9000", bucket="holded", access_key="a", secret_key="s")
    cut = (ReadUnit((Slice("k", "e", 9, 0, 4),)), ReadUnit((Slice("k", "e", 9, 4, 9, 2),)))
    plans = {"plan": hp.ReadPlan("holded", "raw/", cut), "elsewhere": hp.ReadPlan("elsewhere", "raw/", cut)}
    named = {name: plans.get(value, value) if isinstance(value, str) else value for name, value in settings.items()}
    with pytest.raises(error, match=words):
        hp.ReadMinIO(lake, *(plans.get(each, each) for each in arguments), **named)


def test_a_wrong_argument_of_a_plan_is_refused_before_anything_is_listed():
    lake = hp.MinIO("http://localhost:9", bucket="holded", access_key="a", secret_key="s")
    wrong = {"unit_bytes": 0, "unit_objects": 0, "layout": "json", "on_empty": "skip", "records": "/a"}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"{name} must be"):
            hp.plan(lake, "raw/", **{name: value})
    with pytest.raises(ValueError, match="without wildcards"):
        hp.plan(lake, "raw/*", manifest=True)
