"""A lease has one holder over all machines, and the next one takes over when the holder is gone."""

from __future__ import annotations

import os
import signal
import threading
import time

import attrs
import pytest
from preloaded import Program
from table_contents import rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline import local

SECONDS = 3.0
HOLD = """
import sys
import holded_pipeline as hp
url, lines = sys.argv[1:]
lease = hp.Lease(hp.Postgres(url), "nightly", seconds=3.0)
lease.acquire()
print("held", flush=True)
while open(lines).readline():
    try:
        held = lease.is_held
        lease.renew()
        print("renewed", held, flush=True)
    except hp.LeaseLostError:
        print("lost", held, flush=True)
"""


@pytest.fixture
def lease(db):
    with_lease = hp.Lease(db, "nightly", seconds=SECONDS)
    yield with_lease
    with_lease.release()


@pytest.fixture
def other_process(db, tmp_path):
    """A process that holds the lease; `renew` lets it renew it, and gives its answer."""
    script, lines, out = tmp_path / "hold.py", tmp_path / "lines", tmp_path / "stdout"
    script.write_text(HOLD)
    os.mkfifo(lines)
    process = Program([script, db.url, lines], (out, tmp_path / "stderr"))

    def answers():
        return out.read_text().splitlines() if out.exists() else []

    def renew():
        before = len(answers())
        with lines.open("w") as file:
            file.write("renew\n")
        wait_for(lambda: len(answers()) > before)
        return answers()[-1]

    process.renew = renew
    try:
        wait_for(lambda: answers() == ["held"])
        yield process
    finally:
        process.kill()


def wait_for(condition, seconds=30.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def test_one_holds_it_and_the_other_does_not(db, lease):
    other = hp.Lease(db, "nightly", seconds=SECONDS)
    assert lease.acquire(wait=0)
    assert not other.acquire(wait=0)
    assert (lease.is_held, other.is_held) == (True, False)


def test_another_name_is_another_lease(db, lease):
    assert lease.acquire(wait=0)
    with hp.Lease(db, "weekly", seconds=SECONDS) as other:
        assert other.is_held


def test_a_released_lease_is_free_at_once(db, lease):
    with hp.Lease(db, "nightly", seconds=300.0):
        pass
    assert lease.acquire(wait=0)


def test_many_that_ask_at_once_get_it_once(db):
    leases = [hp.Lease(db, "nightly", seconds=30.0) for _ in range(8)]
    hp.migrate(db)
    threads = [threading.Thread(target=each.acquire, args=(0,)) for each in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.is_held for each in leases) == 1
    for each in leases:
        each.release()
    assert rows_of(db, "SELECT * FROM pipeline_leases") == []


def test_it_is_renewed_for_longer_than_it_lasts(other_process, lease):
    assert not lease.acquire(wait=2 * SECONDS)
    assert other_process.renew() == "renewed True"


def test_it_is_taken_over_after_a_kill(other_process, lease):
    other_process.send_signal(signal.SIGKILL)
    assert lease.acquire(wait=60)
    assert lease.is_held


def test_a_holder_stopped_for_longer_than_it_lasts_notices(other_process, lease):
    other_process.send_signal(signal.SIGSTOP)
    assert lease.acquire(wait=60)
    other_process.send_signal(signal.SIGCONT)
    assert other_process.renew() == "lost False"
    assert lease.is_held


def test_a_holder_that_nobody_replaced_goes_on(db, lease):
    lease.acquire()
    run_statements(db, "UPDATE pipeline_leases SET expires_at = now() - interval '1 hour'")
    lease.renew()
    assert not hp.Lease(db, "nightly", seconds=SECONDS).acquire(wait=0)


def test_what_another_took_and_gave_back_is_lost_all_the_same(db, lease):
    lease.acquire()
    run_statements(db, "DELETE FROM pipeline_leases")
    with pytest.raises(hp.LeaseLostError, match="'nightly'"):
        lease.renew()
    assert not lease.is_held
    assert lease.acquire(wait=0)


def test_the_thread_notices_a_lost_lease(db, lease):
    lease.acquire()
    run_statements(db, "UPDATE pipeline_leases SET holder = 'another'")
    wait_for(lambda: not lease.is_acquired)
    assert not lease.is_held


def test_a_late_release_does_not_take_it_from_the_next_holder(db, lease):
    old = hp.Lease(db, "nightly", seconds=300.0)
    old.acquire()
    run_statements(db, "DELETE FROM pipeline_leases")
    assert lease.acquire(wait=0)
    old.release()
    lease.renew()


def test_waiting_for_it_can_be_stopped(db, lease):
    stop = threading.Event()
    stop.set()
    with hp.Lease(db, "nightly", seconds=SECONDS):
        assert not lease.acquire(stop=stop)


@pytest.fixture(scope="module")
def own_stack():
    """Its database is stopped meanwhile."""
    with local.stack() as stack:
        yield stack


def test_it_lives_through_a_restart_of_the_database(own_stack):
    db = attrs.evolve(own_stack.new_database(), retry=hp.Retry(60))
    with hp.Lease(db, "nightly", seconds=30.0) as lease:
        own_stack.stop_postgres()
        with pytest.raises(hp.TransientError):
            hp.Lease(attrs.evolve(db, retry=hp.Retry(0.5)), "nightly").acquire(wait=0)
        assert lease.is_held
        own_stack.start_postgres()
        lease.renew()
        assert not hp.Lease(db, "nightly").acquire(wait=0)


def test_a_holder_without_a_database_does_not_hold_it_for_ever(own_stack):
    db = own_stack.new_database()
    lease = hp.Lease(db, "nightly", seconds=SECONDS)
    lease.acquire()
    own_stack.stop_postgres()
    wait_for(lambda: not lease.is_held)
    assert lease.is_acquired  # nobody is known to have it
    with pytest.raises(hp.TransientError):
        lease.renew()
    own_stack.start_postgres()
    wait_for(lambda: lease.is_held)
    lease.release()


def test_the_row_says_which_process_holds_it(db, lease):
    lease.acquire()
    ((holder,),) = rows_of(db, "SELECT holder FROM pipeline_leases")
    assert f":{os.getpid()}:" in holder


@pytest.mark.parametrize("seconds", [0, 2.9, float("inf"), float("nan")])
def test_a_time_that_makes_no_sense_is_refused(db, seconds):
    with pytest.raises(ValueError, match="3 seconds or more"):
        hp.Lease(db, "nightly", seconds=seconds)


def test_a_lease_has_a_name(db):
    with pytest.raises(ValueError, match="name"):
        hp.Lease(db, "")
