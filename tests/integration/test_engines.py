"""The main job on Beam's runners: the same rows, summaries and rejections as on FnApiRunner."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import pytest
from beam_processes import worker_pool
from conftest import require_variable

import holded_pipeline as hp

SAMPLES = {"seed": 41, "faults": 0.1, "duplicates": 0.1, "wrapped": 0.3}


def prism(runner):
    """The arguments for Prism, Beam's portable runner."""
    return [f"--runner={runner}", f"--prism_location={require_variable('HOLDED_TEST_PRISM', 'Prism')}"]


def flink():
    """The arguments for Flink, by a job service at `host:port`."""
    return ["--runner=PortableRunner", f"--job_endpoint={require_variable('HOLDED_TEST_FLINK', 'a Flink job service')}"]


@pytest.fixture
def workers(tmp_path):
    """`workers(servers)`: a pool of worker processes that have the servers' secrets, and the arguments that name it."""
    with contextlib.ExitStack() as closing:

        def start(servers):
            secrets = {name: value for name, value in servers.environment().items() if name not in os.environ}
            pool = closing.enter_context(worker_pool(tmp_path / "pool.log", **secrets))
            return pool, ["--environment_type=EXTERNAL", f"--environment_config={pool.address}"]

        yield start


@pytest.fixture(scope="module")
def on_fn_api_runner(new_job_servers):
    """The results of the main job on FnApiRunner."""
    servers = new_job_servers()
    servers.store(hp.testing.sample_events(1_000, **SAMPLES), objects=6)
    done = servers.run("--runner=FnApiRunner")
    assert done.returncode == 0, done.stderr[-3000:]
    return servers.results()


@pytest.mark.parametrize(
    ("runner", "external"),
    [("PrismRunner", False), ("PrismRunner", True), ("DirectRunner", False), ("Flink", True)],
    ids=["PrismRunner-loopback", "PrismRunner-external", "DirectRunner-loopback", "Flink-external"],
)
def test_the_main_job_has_the_same_results_on_every_runner(
    runner, external, on_fn_api_runner, new_job_servers, workers
):
    arguments = flink() if runner == "Flink" else prism(runner)
    samples = hp.testing.sample_events(1_000, **SAMPLES)
    servers = new_job_servers()
    servers.store(samples, objects=6)
    environment = workers(servers)[1] if external else ["--environment_type=LOOPBACK"]
    done = servers.run(*arguments, *environment)
    assert done.returncode == 0, done.stderr[-3000:]
    results = servers.results()
    assert results == on_fn_api_runner
    assert [row[0] for row in results.rows] == sorted({s.event_id for s in samples if s.fault is None})
    assert len(results.rejected) == sum(1 for sample in samples if sample.fault)
    assert hp.verify_analytics(servers.db) == []


@pytest.mark.parametrize("runner", ["PrismRunner", "Flink"])
def test_nothing_is_lost_when_a_job_with_killed_workers_runs_again(runner, new_job_servers, workers):
    arguments = flink() if runner == "Flink" else prism(runner)
    samples = hp.testing.sample_events(6_000, **SAMPLES)
    servers = new_job_servers()
    servers.store(samples, objects=20)
    pool, environment = workers(servers)
    job = subprocess.Popen(
        servers.command(*arguments, *environment),
        env=servers.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        stored = kill_after_first_rows(servers, pool, job)
        _, errors = job.communicate(timeout=120)
    finally:
        job.kill()
        job.wait()
    expected = sorted({sample.event_id for sample in samples if sample.fault is None})
    assert 0 < stored < len(expected), "the workers were not killed in the middle"
    if job.returncode == 0:  # a runner may also start new workers by itself
        assert [row[0] for row in servers.results().rows] == expected
    else:
        assert servers.count_rows() < len(expected), errors[-2000:]
    assert hp.verify_analytics(servers.db) == []

    again = servers.run(*arguments, *environment)
    assert again.returncode == 0, again.stderr[-3000:]
    results = servers.results()
    assert [row[0] for row in results.rows] == expected
    rejected = {record["content"] for record, *_ in results.rejected if record["encoding"] == "utf-8"}
    assert rejected == {s.line.decode() for s in samples if s.fault and s.fault.name != "invalid_utf8"}
    assert hp.verify_analytics(servers.db) == []


def kill_after_first_rows(servers, pool, job):
    """Kills the workers as soon as some rows are committed, and returns how many there were."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and job.poll() is None:
        if stored := servers.count_rows():
            for pid in pool.workers():
                os.kill(pid, signal.SIGKILL)
            return stored
        time.sleep(0.02)
    return 0
