"""Runs that are made one after the other live through an outage of the database that holds their lease."""

from __future__ import annotations

import contextlib
import threading
import time

import attrs
import pytest
from table_contents import run_statements

import holded_pipeline as hp
from holded_pipeline import local
from holded_pipeline.runs import lease as lease_module
from holded_pipeline.runs.lease_row import take_lease
from holded_pipeline.runs.run_loop import RunLoop

TAKE_AWAY = "ALTER TABLE pipeline_leases RENAME TO taken_away"
PUT_BACK = "ALTER TABLE taken_away RENAME TO pipeline_leases"


@contextlib.contextmanager
def running(db, caplog):
    """A loop in a thread; gives the list of its runs, and a function that waits for a text in the log."""
    ran = []

    def run():
        ran.append(time.monotonic())
        return hp.RunReport(f"run-{len(ran)}", "load", "succeeded", None, 0.0, {})

    stop = threading.Event()
    thread = threading.Thread(target=RunLoop(run, hp.Lease(db, "load", seconds=3), every=0.1, stop=stop))
    thread.start()
    try:
        wait_for(lambda: ran)
        yield ran, lambda text: wait_for(lambda: text in caplog.text)
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def wait_for(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_a_table_that_is_missing_later_is_waited_for(db, caplog):
    with running(db, caplog) as (ran, logged):
        run_statements(db, TAKE_AWAY)
        logged("pipeline_leases")
        before = len(ran)
        run_statements(db, PUT_BACK)
        wait_for(lambda: len(ran) > before)


def test_a_table_that_is_missing_at_the_start_is_an_error(db):
    hp.migrate(db)
    run_statements(db, TAKE_AWAY)
    loop = RunLoop(lambda: None, hp.Lease(db, "load"), every=0.1, stop=threading.Event())
    with pytest.raises(hp.ConfigurationError, match="pipeline_leases"):
        loop()


def test_no_run_begins_while_the_database_is_away(caplog):
    with local.stack() as stack:
        db = attrs.evolve(stack.new_database(), retry=hp.Retry(1))
        with running(db, caplog) as (ran, logged):
            stack.stop_postgres()
            logged("did not answer")
            before = len(ran)
            time.sleep(1)
            assert len(ran) == before
            stack.start_postgres()
            wait_for(lambda: len(ran) > before)


def test_a_lease_whose_answer_was_lost_is_not_held_without_a_thread(db, monkeypatch):
    def take_and_lose_the_answer(*arguments):
        take_lease(*arguments)
        raise hp.TransientError("the answer was lost")

    lease = hp.Lease(db, "load", seconds=3)
    monkeypatch.setattr(lease_module, "take_lease", take_and_lose_the_answer)
    with pytest.raises(hp.TransientError):
        lease.acquire(0)
    assert not lease.is_acquired
    with pytest.raises(hp.LeaseLostError):
        lease.renew()
