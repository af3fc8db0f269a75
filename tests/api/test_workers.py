"""Several processes behind one socket: kills and signals lose nothing, and what one knows all of them answer."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import prometheus_client.parser
import pytest
from api_load import Load

import holded_pipeline as hp
from holded_pipeline.api import create_app, serve
from holded_pipeline.api.serving.shared_folder import hold_folder, remove_left_folders, require_private_folder

DEADLINE = 120.0


@pytest.fixture
def temporary(monkeypatch):
    """The folder for temporary files of the processes; short, since the path of a Unix socket is."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def wait_until(condition, words):
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, words() if callable(words) else words
        time.sleep(0.05)


def children_of(pid):
    """The worker processes of a supervisor."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    return {int(child) for child, parent, args in rows if int(parent) == pid and "spawn_main" in args}


def is_running(pid):
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout[
        :1
    ] not in ("", "Z")


def metric(url, name):
    """The sum of a metric over its labels, as any worker gives it."""
    families = prometheus_client.parser.text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=10).text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_kill_9_of_a_worker_loses_nothing_and_counters_do_not_fall(process, stored, tmp_path, temporary):
    api = process("--workers", "2", "--max-wait", "0.1", "--log-format", "json")
    api.wait_until_ready()
    wait_until(lambda: metric(api.url, "holded_api_workers") == 2, "there are not two workers")
    workers = children_of(api.process.pid)
    with Load() as load:
        load.to(api.url)
        load.wait_for(60)
        events = metric(api.url, "holded_api_events_total")
        os.kill(min(workers), signal.SIGKILL)
        load.wait_for(60)  # the other one goes on
        assert metric(api.url, "holded_api_events_total") >= events
    wait_until(lambda: metric(api.url, "holded_api_workers") == 2, "the worker was not replaced")
    assert metric(api.url, "holded_api_events_total") >= len(load.acknowledged)
    assert metric(api.url, "holded_api_replaced_workers_total") == 1
    accepted = httpx.post(f"{api.url}/collect", json={"n": 1}).json()["accepted"][0]["event_id"]

    def get(_):
        return httpx.get(f"{api.url}/events/{accepted}", timeout=10).json().get("event_id")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(get, range(40))) == {accepted}
    with Load() as draining:
        draining.to(api.url)
        draining.wait_for(30)
        assert api.end(signal.SIGTERM) == -signal.SIGTERM
    assert not any(map(is_running, workers))
    assert load.acknowledged | draining.acknowledged <= stored.ids()
    assert load.statuses == {202}
    assert draining.statuses <= {202, 503}
    lines = [json.loads(line) for line in (tmp_path / "api.log").read_text().splitlines()[1:]]
    reads = [line for line in lines if line.get("route") == "/events/{event_id}"]
    assert len({line["process"] for line in reads}) == 2
    assert sum("was ended by SIGKILL" in line["message"] for line in lines) == 1
    assert not [line for line in lines if line["level"] not in ("INFO", "WARNING")]
    assert list(temporary.iterdir()) == []


def test_kill_9_of_all_processes_and_then_of_the_supervisor_alone(process, stored, temporary):
    """All leave a folder that the next start removes; without a supervisor the workers end when all is stored."""
    api = process("--workers", "2")
    api.wait_until_ready()
    workers = children_of(api.process.pid)
    for kind in ("counter_0.db", "counter_1.db"):
        wait_until(lambda kind=kind: list(temporary.glob(f"*/{kind}")), f"{kind} is not there")
    (folder,) = temporary.iterdir()
    for each in folder.glob("counter_*.db"):
        each.unlink()
    answer = httpx.get(f"{api.url}/metrics", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (500, "metrics_removed")
    assert httpx.post(f"{api.url}/collect", json={"n": 1}, timeout=30).status_code == 202
    for each in workers:
        os.kill(each, signal.SIGSTOP)  # so that none is the last one, which removes the folder
    api.end(signal.SIGKILL)
    for each in workers:
        os.kill(each, signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, workers)), "the workers go on")
    assert list(temporary.iterdir()) == [folder]
    os.utime(folder, (0, 0))
    api = process("--workers", "2", "--max-wait", "0.3")
    api.wait_until_ready()
    assert folder not in list(temporary.iterdir())
    workers = children_of(api.process.pid)
    with Load() as load:
        load.to(api.url)
        load.wait_for(50)
        assert api.end(signal.SIGKILL) == -signal.SIGKILL
        wait_until(lambda: not any(map(is_running, workers)), "the workers go on")
    assert load.acknowledged <= stored.ids()
    assert load.statuses <= {202, 503}
    socket.create_server(("127.0.0.1", api.port)).close()  # nothing listens there any more
    assert list(temporary.iterdir()) == []


def test_a_shared_folder_that_was_removed_is_made_again_and_nobody_elses_is_taken(tmp_path):
    folder = tmp_path / "shared"
    require_private_folder(folder)
    require_private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(OSError, match="not a folder of this user alone"):
        require_private_folder(folder)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(OSError, match="not a folder of this user alone"):
        require_private_folder(folder)


def test_folders_that_killed_servers_have_left_are_removed_and_no_others(tmp_path):
    left, held, new, mine, others = (
        tmp_path / f"holded-api-{name}" for name in ("left", "held", "new", "mine", "open")
    )
    for folder in (left, held, new, mine, others):
        folder.mkdir(mode=0o700)
        (folder / "counter_0.db").touch()
        os.utime(folder, (0, 0))
    os.utime(new)
    (mine / "notes.txt").touch()
    os.utime(mine, (0, 0))
    others.chmod(0o755)
    descriptor = hold_folder(held)
    remove_left_folders(tmp_path)
    assert set(tmp_path.iterdir()) == {held, new, mine, others}
    os.close(descriptor)
    remove_left_folders(tmp_path)
    assert set(tmp_path.iterdir()) == {new, mine, others}


def test_a_script_without_its_guard_is_named(nowhere, monkeypatch):
    # As in a worker that imports the script of its parent for a function in it.
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(SystemExit, match='put the call under `if __name__ == "__main__":`'):
        serve(create_app(nowhere), workers=2)


def test_what_cannot_be_made_in_another_process_is_named(nowhere):
    with pytest.raises(hp.ConfigurationError, match="the argument subject of create_app cannot be pickled"):
        serve(create_app(nowhere, schemas={"a": {}}, subject=lambda event: event.type), port=0, workers=2)
    changed = create_app(nowhere)
    changed.add_api_route("/mine", lambda: None)
    with pytest.raises(hp.ConfigurationError, match="added after create_app"):
        serve(changed, port=0, workers=2)
    with pytest.raises(ValueError, match="workers must be 1 or more, not 0"):
        serve(create_app(nowhere), workers=0)


def test_workers_outside_the_main_thread_are_refused(nowhere):
    errors = []

    def run():
        with pytest.raises(hp.ConfigurationError, match="needs the main thread") as caught:
            serve(create_app(nowhere), port=0, workers=2)
        errors.append(caught)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(errors) == 1
