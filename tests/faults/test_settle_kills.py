"""A run that settles its objects, ended by kill -9 at each of its steps and repeated."""

from __future__ import annotations

import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import pytest
import settled_flow
import sqlalchemy as sa
from apache_beam.options.pipeline_options import PipelineOptions
from sqlalchemy.dialects.postgresql import insert
from store_contents import documents_below, objects_below, put_object

import holded_pipeline as hp
from holded_pipeline.postgres.run_tables import pipeline_runs

pytestmark = pytest.mark.xdist_group("settle_kills")  # one worker makes what several tests look at

AFTER_COMMIT = ("settled", "manifest")
BEFORE_COMMIT = tuple(step for step in settled_flow.STEPS if step not in AFTER_COMMIT)


def scalars(db, query):
    with db.engine().connect() as connection:
        return connection.execute(sa.text(query)).scalars().all()


def ids_of(lake, **how):
    return Counter(event.id for event in hp.events(lake, "enriched/", **how))


@pytest.mark.parametrize("steps", [BEFORE_COMMIT, *((step,) for step in AFTER_COMMIT)], ids=" ".join)
def test_a_run_killed_at_a_step_and_repeated_ends_balanced(lake, db, steps):
    """Until it settles, a run that is killed may be repeated by one that is killed later."""
    put_object(lake, "raw/1.jsonl", settled_flow.event_lines("a", "b", broken=1))
    put_object(lake, "raw/2.jsonl", settled_flow.event_lines("b", "c"))
    put_object(lake, "raw/3.jsonl", settled_flow.event_lines("d"))
    for step in steps:
        assert settled_flow.run_until(step, lake, db, f"killed-{step}") == -signal.SIGKILL, step
        settled = len(scalars(db, "SELECT key FROM pipeline_settled_objects"))
        assert settled == (3 if step in AFTER_COMMIT else 0), step
    put_object(lake, "raw/4.jsonl", settled_flow.event_lines("e"))
    with beam.Pipeline(runner="FnApiRunner") as p:
        settled_flow.settled_flow(p, lake, db)
    assert set(scalars(db, "SELECT key FROM pipeline_settled_objects")) == {f"raw/{each}.jsonl" for each in range(1, 5)}
    assert scalars(db, "SELECT imbalance FROM pipeline_run_objects WHERE imbalance IS NOT NULL") == []
    assert scalars(db, "SELECT count(*) FROM business_events") == [5]
    assert ids_of(lake, manifest=True) == {"a": 1, "b": 2, "c": 1, "d": 1, "e": 1}  # b was sent twice
    assert len(list(hp.rejected(lake, "rejected/"))) == 1
    assert scalars(db, "SELECT run_id FROM pipeline_settlements WHERE NOT has_manifests") == []


def record_run(db, run_id, state, last_sign):
    """What the driver of a run records, or recorded some time ago."""
    row = {"run_id": run_id, "state": state, "seen_at": datetime.now(UTC) - last_sign, "ended_at": None}
    others = {"name": "flow", "host": "h", "process_id": 1, "versions": {}, "arguments": {}, "counts": {}}
    statement = insert(pipeline_runs).values(**row, **others, rejected={})
    with db.engine().begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["run_id"], set_=row))


@pytest.fixture(scope="module")
def with_leftovers(stack):
    """A store with events of a run that was killed, of one that settled, and of a pipeline that does not settle."""
    lake, db = stack.new_bucket(), stack.new_database()
    put_object(lake, "raw/1.jsonl", settled_flow.event_lines("a", "b"))
    assert settled_flow.run_until("counted", lake, db) == -signal.SIGKILL
    for run_id in ("settled", "no-ledger"):
        with beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([f"--run_id={run_id}"])) as p:
            if run_id == "settled":
                settled_flow.settled_flow(p, lake, db)
            else:
                raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat")
                _ = raw.passed | hp.WriteMinIO(lake, "enriched/")
                _ = raw.rejected | hp.WriteRejected(lake, "rejected/")
    record_run(db, "no-ledger", "succeeded", timedelta(days=2))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:  # until the objects are as old as the tests ask for
        record_run(db, "killed", "killed", timedelta(days=2))
        if len(list(hp.leftovers(db, lake, "enriched/", older_than=OLD))) == 2:
            return lake, db
        time.sleep(0.2)
    pytest.fail("no leftovers were found")


OLD = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("state", "last_sign"),
    [("running", timedelta(0)), ("failed", timedelta(0)), ("succeeded", timedelta(days=2))],
)
def test_objects_that_may_be_wanted_are_no_leftovers(with_leftovers, state, last_sign):
    lake, db = with_leftovers
    record_run(db, "killed", state, last_sign)
    found = hp.leftovers(db, lake, "enriched/", older_than=OLD if last_sign else timedelta(hours=1))
    before = objects_below(lake, "")
    assert any("/killed-" in key for key in before)
    assert found.remove() == 0
    assert objects_below(lake, "") == before


def test_a_run_that_died_without_a_word_has_left_leftovers(with_leftovers):
    lake, db = with_leftovers
    record_run(db, "killed", "running", timedelta(days=2))
    assert len(list(hp.leftovers(db, lake, "enriched/", older_than=OLD))) == 2


def test_a_prefix_without_manifests_has_no_leftovers_to_remove(with_leftovers):
    lake, db = with_leftovers
    for prefix in ("rejected/", "raw/", ""):
        with pytest.raises(hp.ConfigurationError, match="there is no manifest in"):
            hp.leftovers(db, lake, prefix).remove()
    with pytest.raises(ValueError, match="older_than must be more than 0"):
        hp.leftovers(db, lake, "enriched/", older_than=timedelta(0))


def test_what_a_killed_run_has_left_is_found_and_removed(with_leftovers):
    """The last test of the leftovers, since it removes them."""
    lake, db = with_leftovers
    record_run(db, "killed", "killed", timedelta(days=2))
    by_manifest = {line["key"] for line in documents_below(lake, "enriched/_manifests/")}
    assert ids_of(lake) == {"a": 3, "b": 3}
    found = hp.leftovers(db, lake, "enriched/", older_than=OLD)
    assert {each.run_id for each in found} == {"killed"}
    assert not by_manifest & {each.key for each in found}
    assert found.remove() == 2
    assert list(found) == []
    left = {key for key in objects_below(lake, "enriched/") if "/no-ledger-" not in key}
    assert {key for key in left if "_manifests/" not in key} == by_manifest
    assert ids_of(lake) == {"a": 2, "b": 2}  # the pipeline without a ledger wrote them as well
