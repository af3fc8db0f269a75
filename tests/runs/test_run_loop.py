"""Runs one after the other: when the next begins, what a failure changes, how it ends."""

from __future__ import annotations

import logging
import math
import signal
import threading
from datetime import UTC, datetime

import attrs
import pytest
from table_contents import run_statements

import holded_pipeline as hp
from holded_pipeline.runs import run_loop
from holded_pipeline.runs.run_loop import RunLoop
from holded_pipeline.runs.stop_signals import stopping_on_signals

GOOD = hp.RunReport("run-1", "load", "succeeded", datetime(2026, 1, 1, tzinfo=UTC), 0.1, {"read.records": 3})


class Waits(threading.Event):
    """Notes how long the loop would wait, and does not wait."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        self.seconds.append(timeout)
        return self.is_set()


@pytest.fixture
def loop(db):
    """A loop whose runs do what the list says: an error is raised, anything else returned; then it stops."""

    def make(*results, every=60.0, **settings):
        stop = settings.pop("stop", None) or Waits()
        left = list(results)

        def run():
            result = left.pop(0)
            if not left:
                stop.set()
            if isinstance(result, Exception):
                raise result
            return result

        return RunLoop(run, hp.Lease(db, "load"), every=every, stop=stop, **settings)

    return make


def test_the_log_has_all_of_an_error_in_one_line(loop, caplog):
    error = hp.UnbalancedError("records are not accounted for:\n  raw/a: 2 of 3\n  raw/b: 1 of 3")
    summary = loop(GOOD, error)()
    (logged,) = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert logged.endswith("UnbalancedError: records are not accounted for: raw/a: 2 of 3 raw/b: 1 of 3")
    assert summary.last_exception is error


def test_the_next_run_begins_so_long_after_the_last_one_began(loop):
    made = loop(GOOD, GOOD, every=60.0)
    summary = made()
    assert 0 < made.stop.seconds[0] <= 60
    assert (summary.succeeded, summary.records, summary.ended_because) == (2, 6, "stopped")


def test_a_run_that_took_longer_is_followed_at_once(loop):
    made = loop(GOOD, GOOD, every=1e-9)
    made()
    assert made.stop.seconds[0] == 0


def test_the_wait_doubles_after_failures_and_is_short_again_after_a_success(loop, monkeypatch):
    monkeypatch.setattr(run_loop, "_jittered", lambda seconds: seconds)
    away = hp.TransientError("the store is away")
    made = loop(*[away] * 8, GOOD, away, away, every=60.0)
    summary = made()
    assert made.stop.seconds[:8] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert made.stop.seconds[8] <= 60
    assert made.stop.seconds[9] == 5
    assert (summary.succeeded, summary.failed, summary.last_error) == (1, 10, "TransientError: the store is away")


def test_the_wait_of_one_that_runs_rarely_grows_up_to_its_interval(loop, monkeypatch):
    monkeypatch.setattr(run_loop, "_jittered", lambda seconds: seconds)
    made = loop(*[hp.TransientError("away")] * 12, every=3_600.0)
    made()
    assert made.stop.seconds[-1] == 3_600
    assert math.isfinite(made.stop.seconds[-1])


def test_waits_are_jittered():
    assert {5 <= run_loop._jittered(10.0) <= 10 for _ in range(100)} == {True}
    assert len({run_loop._jittered(10.0) for _ in range(100)}) > 1


@pytest.mark.parametrize("error", [hp.ConfigurationError("no such bucket"), TypeError("build() takes no argument")])
def test_what_is_set_up_wrong_stops_the_first_run(loop, db, error):
    with pytest.raises(type(error)):
        loop(error, GOOD)()
    assert hp.Lease(db, "load").acquire(wait=0)


def test_what_is_set_up_wrong_later_is_waited_for(loop):
    summary = loop(GOOD, hp.ConfigurationError("the grant is gone"), GOOD)()
    assert (summary.succeeded, summary.failed, summary.last_error) == (2, 1, None)


def test_another_error_of_the_first_run_is_tried_again(loop):
    assert loop(RuntimeError("a worker died"), GOOD)().succeeded == 1


def test_it_ends_after_so_many_runs(loop):
    summary = loop(GOOD, hp.TransientError("away"), GOOD, max_runs=2)()
    assert (summary.succeeded, summary.failed, summary.ended_because) == (1, 1, "max_runs")


def test_it_does_not_wait_for_a_lease_if_told_so(loop, db):
    with hp.Lease(db, "load"):
        summary = loop(GOOD, lease_wait=0)()
    assert (summary.succeeded, summary.ended_because) == (0, "not held")


def test_without_the_lease_no_next_run_begins(loop, db):
    """It is lost during the first run: the loop waits for it, here until it is stopped."""
    stop = threading.Event()
    made = loop(GOOD, GOOD, GOOD, every=0.01, stop=stop, observers=[Thief(db, stop)])
    assert made().succeeded == 1


@attrs.define
class Thief:
    """Takes the lease as another process would, then stops the loop a little later."""

    db: hp.Postgres
    stop: threading.Event

    def observe(self, report):
        run_statements(self.db, "UPDATE pipeline_leases SET holder = 'another', expires_at = now() + interval '1 hour'")
        threading.Timer(1.0, self.stop.set).start()

    def observe_lease(self, lease):
        pass


def test_each_run_is_one_line_in_the_log(loop, caplog):
    caplog.set_level(logging.INFO, "holded_pipeline")
    loop(GOOD, hp.TransientError("the store is away\nand more"), max_runs=2)()
    lines = [record.getMessage() for record in caplog.records if "run" in record.getMessage()]
    assert lines[0] == "load: run run-1 succeeded in 0.1 s: 3 read, 0 stored, 0 duplicates, 0 rejected"
    assert lines[1].startswith("load: run failed after")
    assert lines[1].endswith("TransientError: the store is away and more")
    assert len(lines) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_signal_lets_the_run_end_and_handlers_come_back(loop, number):
    before = signal.getsignal(number)
    stop = threading.Event()

    def run():
        signal.raise_signal(number)
        assert stop.wait(30)
        return GOOD

    made = loop(GOOD, stop=stop)
    made.run = run
    with stopping_on_signals(stop):
        assert made().succeeded == 1
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_ends_it_at_once(loop, db):
    stop = threading.Event()

    def run():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return GOOD

    made = loop(GOOD, stop=stop)
    made.run = run
    with stopping_on_signals(stop), pytest.raises(KeyboardInterrupt):
        made()
    assert hp.Lease(db, "load").acquire(wait=0)


def test_no_handler_is_set_outside_the_main_thread():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def body():
        with stopping_on_signals(threading.Event()):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [before]
