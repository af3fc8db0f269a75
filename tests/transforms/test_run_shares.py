"""A run of several shares is one run: it leaves what one pipeline leaves, however often a share is tried."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from datetime import timedelta

import attrs
import pytest
from preloaded import pool
from shared_flow import Once, SharedFlow, facts, figures, plain_facts, put_input
from table_contents import rows_of

import holded_pipeline as hp

ALL = (119, 111, 4, 4, True)
"""What the report of the first run over the input says: read, stored, duplicates, rejected, balanced."""


@pytest.fixture(scope="module")
def plain(stack):
    """What one plain run leaves."""
    return plain_facts(stack.new_bucket(), stack.new_database())


@pytest.fixture
def flow(lake, db):
    put_input(lake)
    return SharedFlow(lake, db)


def run_flow(flow, place=map, **how):
    return hp.run_shares(flow, flow.plan(), place, **{"shares": 2, "ledger": flow.ledger, "progress": False, **how})


def twice(function, tasks):
    """Runs each share, and once more, as where it was given up for lost and goes on."""
    for task in tasks:
        yield function(task)
        yield function(task)


def test_shares_leave_what_a_plain_run_leaves_and_the_next_run_finds_nothing(flow, lake, db, plain):
    limited = attrs.evolve(flow, budget={"*": 4, "read": 0.05})  # of raw/d.jsonl alone it is more than 5%
    report = run_flow(limited, run_id="r1", name="nightly", shares=3)
    assert figures(report) == ALL
    assert facts(lake, db) == plain
    (record,) = hp.runs(db)
    assert (record.run_id, record.name, record.state) == ("r1", "nightly", "succeeded")
    assert (record.counts, record.settled_at is not None) == (report.counts, True)
    assert (record.arguments["shares"], report.run_id, report.state) == (3, "r1", "succeeded")
    assert figures(run_flow(flow)) == (0, 0, 0, 0, True)
    with pytest.raises(hp.ConfigurationError, match="the run 'r1' has settled its objects"):
        run_flow(flow, run_id="r1")


def test_rows_that_a_failed_attempt_committed_are_new_and_no_duplicates(flow, lake, db, plain, tmp_path):
    failing = attrs.evolve(flow, at_commit=Once(tmp_path / "failed", "outage"))
    report = run_flow(failing, retries=1)
    assert (tmp_path / "failed").exists()
    assert figures(report) == ALL
    assert facts(lake, db) == plain
    assert rows_of(db, "SELECT count(*) FROM pipeline_run_loads") == [(0,)]


def test_a_share_that_runs_twice_counts_once(flow, lake, db, plain):
    report = run_flow(flow, twice)
    assert figures(report) == ALL
    assert facts(lake, db) == plain
    named = sum(plain["events"].values())
    assert sum(1 for _ in hp.events(lake, "enriched/")) == 2 * named  # the others are in no manifest
    assert list(hp.leftovers(db, lake, "enriched/")) == []  # they are not a day old
    time.sleep(1.1)
    hp.leftovers(db, lake, "enriched/", older_than=timedelta(seconds=1)).remove()
    assert sum(1 for _ in hp.events(lake, "enriched/")) == named
    assert facts(lake, db) == plain


def test_without_a_retry_an_outage_fails_the_run_and_settles_nothing(flow, lake, db, tmp_path):
    failing = attrs.evolve(flow, at_commit=Once(tmp_path / "failed", "outage"))
    with pytest.raises(hp.TransientError, match="PostgreSQL did not answer") as raised:
        run_flow(failing, retries=0, run_id="r1")
    assert "of 2 of the run r1" in raised.value.__notes__[0]
    assert rows_of(db, "SELECT count(*) FROM pipeline_settled_objects") == [(0,)]
    (record,) = hp.runs(db)
    assert record.state == "failed"
    assert record.error.startswith("TransientError: PostgreSQL did not answer")
    # The same run again, as a job that is started again with its id: what the first attempt committed is counted.
    assert figures(run_flow(flow, run_id="r1")) == ALL


def test_other_processes_run_shares_by_a_pool(flow, lake, db, plain):
    with pool(2) as processes:
        report = run_flow(flow, processes.map)
    assert figures(report) == ALL
    assert facts(lake, db) == plain


@pytest.mark.parametrize("budget", [0.03, {"*": 4, "read": 3}], ids=["a share", "a count"])
def test_past_an_error_budget_of_all_shares_together_nothing_is_settled(flow, db, budget):
    limited = attrs.evolve(flow, budget=budget)  # 4 of 119
    with pytest.raises(hp.TooManyRejectedError, match="too many rejected in .*[ \n]+.*read: invalid_json, e.g. "):
        run_flow(limited)
    assert rows_of(db, "SELECT count(*) FROM pipeline_settled_objects") == [(0,)]


def lost(function, tasks):
    return [function(task) for task in tasks[1:]]


def read_all(flow):
    return lambda pipeline, _: pipeline | hp.ReadMinIO(flow.lake, "raw/", envelope="flat", new_only=flow.ledger)


def settle_nothing(flow):
    return lambda pipeline, share: (
        pipeline | hp.ReadMinIO(flow.lake, units=share, envelope="flat", new_only=flow.ledger)
    )


@pytest.mark.parametrize(
    ("build", "how", "message"),
    [
        (None, {"place": lost}, "1 of 2 shares have no result, share 1 of 2"),
        (None, {"ledger": None}, "reads or settles with the ledger 'orders'; give it to the run, too"),
        (read_all, {}, "every share of the run would read the same with the ledger"),
        (settle_nothing, {}, r"let it apply .* and hp.SettleObjects\(ledger\)"),
    ],
    ids=["a share without a result", "a forgotten ledger", "all read in each share", "nothing settled"],
)
def test_what_is_set_up_wrong_is_said_and_nothing_is_settled(flow, db, build, how, message):
    with pytest.raises(hp.ConfigurationError, match=message):
        hp.run_shares(
            build(flow) if build else flow, flow.plan(), **{"place": map, "shares": 2, "ledger": flow.ledger, **how}
        )
    assert rows_of(db, "SELECT count(*) FROM pipeline_settled_objects") == [(0,)]


def test_a_function_that_cannot_be_pickled_is_named(flow):
    lock = multiprocessing.Lock()

    def load(pipeline, share):
        lock.acquire()

    with pytest.raises(hp.ConfigurationError, match="the function 'load' cannot be pickled"):
        run_flow(load_of(flow, load))
    with pytest.raises(TypeError, match="build must be a function"):
        hp.run_shares("load", flow.plan(), map, shares=2)


def test_a_share_whose_pipeline_cannot_be_made_leaves_no_folder(flow, tmp_path, monkeypatch):
    def load(pipeline, share):
        raise LookupError(f"{len(list(tmp_path.iterdir()))} folder")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(LookupError, match="^1 folder"):
        hp.run_shares(load, flow.plan(), map, shares=1, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_a_pool_cannot_send_keeps_its_words(flow):
    def load(pipeline, share):
        class OwnError(Exception):
            pass

        raise OwnError("the rates of May are missing")

    with (
        pool(1) as processes,
        pytest.raises(RuntimeError, match="OwnError: the rates of May are missing"),
    ):
        hp.run_shares(load, flow.plan(), processes.map, shares=1, progress=False)


def load_of(flow, load):
    class Flow:
        ledger, plan = flow.ledger, staticmethod(flow.plan)
        __name__ = "load"

        def __call__(self, pipeline, share):
            return load(pipeline, share)

    return Flow()
