"""Two processes run one pipeline with a ledger: one at a time, and nothing is lost or doubled when one of them dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from store_contents import put_object
from table_contents import rows_of

import holded_pipeline as hp

RUNNER = """
import sys, time
import apache_beam as beam
import holded_pipeline as hp

endpoint, bucket, key, secret, url, pause = sys.argv[1:]
lake, db = hp.MinIO(endpoint, bucket=bucket, access_key=key, secret_key=secret), hp.Postgres(url)
ledger = hp.Ledger(db, "load")

def wait(event):
    if pause != "0.0":
        print("event", flush=True)
        time.sleep(float(pause))
    return event

def build():
    p = beam.Pipeline(runner="FnApiRunner")
    raw = p | hp.ReadMinIO(lake, "raw/", new_only=ledger)
    stored = raw.passed | beam.Map(wait).with_output_types(hp.Event) | hp.WriteMinIO(lake, "enriched/")
    loaded = raw.passed | hp.WritePostgres(db)
    written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    (stored, loaded, written) | hp.SettleObjects(ledger)
    return p

print("ready", flush=True)
summary = hp.run_every(build, db, name="load", every=0.2, lease_seconds=6.0)
print(summary.ended_because, summary.failed, flush=True)
"""
OVERLAPS = """
SELECT one.run_id, other.run_id FROM pipeline_runs AS one JOIN pipeline_runs AS other
ON one.process_id < other.process_id AND one.began_at < other.ended_at AND other.began_at < one.ended_at
"""
EVENTS = 20
pytestmark = pytest.mark.timeout(540)  # processes start and take turns


@pytest.fixture
def start(lake, db):
    """Starts a process that runs the pipeline; `pause` are seconds for each event."""
    hp.migrate(db)
    put_events(lake, 0)
    address = (lake.endpoint, lake.bucket, lake.access_key, lake.secret_key.reveal(), db.url)
    started = []

    def start_process(pause=0.0):
        command = [sys.executable, "-c", RUNNER, *address, str(pause)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start_process
    for process in started:
        process.kill()
        process.communicate()


def put_events(lake, number):
    lines = hp.testing.sample_lines(hp.testing.sample_events(EVENTS, seed=number))
    put_object(lake, f"raw/{number}.jsonl", lines + b"{broken\n")


def runs_of(db, process, state="succeeded"):
    condition = f"process_id = {process.pid} AND state = '{state}'"
    return rows_of(db, f"SELECT run_id FROM pipeline_runs WHERE {condition} ORDER BY began_at")


def wait_for(condition, seconds=150.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def end(process):
    """Ends a process by SIGTERM, and returns what it printed."""
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return printed.splitlines()[-1]


def is_settled(db, number):
    return bool(rows_of(db, f"SELECT 1 FROM pipeline_settled_objects WHERE key = 'raw/{number}.jsonl'"))


def assert_each_event_is_there_once(run, lake, db, objects):
    """In the table, in the objects of the manifests, and in the accounts of each object."""
    samples = [sample for number in range(objects) for sample in hp.testing.sample_events(EVENTS, seed=number)]
    expected = {sample.event_id for sample in samples}
    assert {event_id for (event_id,) in rows_of(db, "SELECT event_id FROM business_events")} == expected
    ran = run(lambda p: {"events": (p | hp.ReadMinIO(lake, "enriched/", manifest=True, envelope="event")).passed})
    assert sorted(event.id for event in ran["events"]) == sorted(expected)
    assert rows_of(db, "SELECT count(*), count(DISTINCT key) FROM pipeline_settled_objects") == [(objects, objects)]
    assert hp.verify_analytics(db) == []


def test_they_take_turns_and_the_second_goes_on_after_a_kill(start, run, lake, db):
    """The first one is killed while it runs; what it had done of that run is done again."""
    first = start()
    wait_for(lambda: is_settled(db, 0))
    second = start()
    for number in (1, 2, 3):
        put_events(lake, number)
        wait_for(lambda number=number: is_settled(db, number))
    assert runs_of(db, second) == runs_of(db, second, "running") == []  # it waits
    put_events(lake, 4)
    wait_for(lambda: runs_of(db, first, "running"))
    first.kill()
    put_events(lake, 5)
    wait_for(lambda: is_settled(db, 4) and is_settled(db, 5))
    assert end(second) == "stopped 0"
    assert rows_of(db, OVERLAPS) == []
    assert_each_event_is_there_once(run, lake, db, 6)


def test_one_that_was_stopped_during_a_run_does_not_begin_another(start, run, lake, db):
    """It wakes up when the other one has settled its objects: its run settles none, and the other goes on alone."""
    first = start(pause=0.2)
    assert first.stdout.readline() == "event\n"
    first.send_signal(signal.SIGSTOP)
    second = start()
    wait_for(lambda: is_settled(db, 0))
    first.send_signal(signal.SIGCONT)
    wait_for(lambda: runs_of(db, first, "failed"))
    ((error,),) = rows_of(db, f"SELECT error FROM pipeline_runs WHERE process_id = {first.pid}")
    assert "AlreadySettledError" in error
    before = len(runs_of(db, second))
    wait_for(lambda: len(runs_of(db, second)) > before + 3)
    assert len(rows_of(db, f"SELECT 1 FROM pipeline_runs WHERE process_id = {first.pid}")) == 1
    put_events(lake, 1)
    wait_for(lambda: is_settled(db, 1))
    assert end(second) == "stopped 0"
    put_events(lake, 2)
    wait_for(lambda: is_settled(db, 2))  # by the first one, which has the lease again
    assert end(first) == "stopped 1"
    assert_each_event_is_there_once(run, lake, db, 3)
