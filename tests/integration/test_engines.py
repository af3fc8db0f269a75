"""The main job, unchanged, on Beam's engines: the same rows, summaries and rejections as on FnApiRunner, by id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import pytest
from beam_processes import worker_pool
from conftest import named

import holded_pipeline as hp

SAMPLES = {"seed": 41, "faults": 0.1, "duplicates": 0.1, "wrapped": 0.3}


def prism(runner):
    """Prism, Beam's portable engine, whose workers live in the job's own process."""
    return [f"--runner={runner}", f"--prism_location={named('HOLDED_TEST_PRISM', 'Prism')}"]


def flink():
    """A job service of Flink's: `host:port`."""
    return ["--runner=PortableRunner", f"--job_endpoint={named('HOLDED_TEST_FLINK', 'a job service of Flink')}"]


@pytest.fixture
def workers(tmp_path):
    """`workers(place)`: a pool of worker processes that know the place's secrets, and the arguments that name it."""
    with contextlib.ExitStack() as closing:

        def start(place):
            secrets = {name: value for name, value in place.environment().items() if name not in os.environ}
            pool = closing.enter_context(worker_pool(tmp_path / "pool.log", **secrets))
            return pool, ["--environment_type=EXTERNAL", f"--environment_config={pool.address}"]

        yield start


@pytest.fixture(scope="module")
def on_fn_api_runner(new_place):
    """What the main job leaves when it runs in this process."""
    place = new_place()
    place.store(hp.testing.sample_events(1_500, **SAMPLES), objects=6)
    done = place.run("--runner=FnApiRunner")
    assert done.returncode == 0, done.stderr[-3000:]
    return place.outcome()


@pytest.mark.parametrize(
    ("engine", "external"),
    [("PrismRunner", False), ("PrismRunner", True), ("DirectRunner", False), ("Flink", True)],
    ids=["PrismRunner-loopback", "PrismRunner-external", "DirectRunner-loopback", "Flink-external"],
)
def test_the_main_job_leaves_the_same_on_an_engine(engine, external, on_fn_api_runner, new_place, workers):
    arguments = flink() if engine == "Flink" else prism(engine)
    samples = hp.testing.sample_events(1_500, **SAMPLES)
    place = new_place()
    place.store(samples, objects=6)
    placed = workers(place)[1] if external else ["--environment_type=LOOPBACK"]
    done = place.run(*arguments, *placed)
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = place.outcome()
    assert outcome == on_fn_api_runner
    assert [row[0] for row in outcome.rows] == sorted({s.event_id for s in samples if s.fault is None})
    assert len(outcome.rejected) == sum(1 for sample in samples if sample.fault)
    assert hp.verify_analytics(place.db) == []


@pytest.mark.parametrize("engine", ["PrismRunner", "Flink"])
def test_workers_killed_in_the_middle_cost_nothing_once_the_job_has_run_again(engine, new_place, workers):
    arguments = flink() if engine == "Flink" else prism(engine)
    samples = hp.testing.sample_events(8_000, **SAMPLES)
    place = new_place()
    place.store(samples, objects=20)
    pool, placed = workers(place)
    job = subprocess.Popen(
        place.command(*arguments, *placed),
        env=place.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        stored = kill_when_rows_are_in(place, pool, job)
        _, said = job.communicate(timeout=120)
    finally:
        job.kill()
        job.wait()
    expected = sorted({sample.event_id for sample in samples if sample.fault is None})
    assert 0 < stored < len(expected), "the workers were not killed in the middle"
    if job.returncode == 0:  # an engine may also mend it by itself
        assert [row[0] for row in place.outcome().rows] == expected
    else:
        assert place.count() < len(expected), said[-2000:]
    assert hp.verify_analytics(place.db) == []

    again = place.run(*arguments, *placed)
    assert again.returncode == 0, again.stderr[-3000:]
    outcome = place.outcome()
    assert [row[0] for row in outcome.rows] == expected
    refused = {record["content"] for record, *_ in outcome.rejected if record["encoding"] == "utf-8"}
    assert refused == {s.line.decode() for s in samples if s.fault and s.fault.name != "invalid_utf8"}
    assert hp.verify_analytics(place.db) == []


def kill_when_rows_are_in(place, pool, job):
    """Kills the workers as soon as some rows are committed; how many there were then."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and job.poll() is None:
        if stored := place.count():
            for number in pool.workers():
                os.kill(number, signal.SIGKILL)
            return stored
        time.sleep(0.02)
    return 0
