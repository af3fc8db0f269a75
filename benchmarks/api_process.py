"""The ingestion API as a process of its own, for benchmarks."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import holded_pipeline as hp
from holded_pipeline.local.ports import free_ports

HERE = Path(__file__).parent
API = HERE.parent / "examples" / "collect_api.py"
NAIVE = HERE / "naive_collect.py"
GROUPED = ("--max-wait", "0.02")
EACH = ("--max-wait", "0", "--group-packages", "1")
_START_SECONDS = 60.0


def ours(lake: hp.MinIO, port: int, *arguments: str) -> list[str]:
    """The command of our API."""
    store = ("--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key)
    return [str(API), "--port", str(port), "--rate", "none", *store, *arguments]


def naive(lake: hp.MinIO, port: int) -> list[str]:
    """The command of the API as people write it first."""
    return [str(NAIVE), str(port), lake.endpoint, lake.bucket, lake.access_key]


def processes_of(pid: int) -> list[int]:
    """A process and those that it started."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid]
    for parent in found:  # it grows while it is read
        found += [child for child, of in parents if of == parent]
    return found


@contextlib.contextmanager
def api(lake: hp.MinIO, key: str, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Runs our API, from when it is ready; yields its URL and its process."""
    port = free_ports(1)[0]
    with running(ours(lake, port, *arguments), lake, key, port) as process:
        yield f"http://127.0.0.1:{port}", process


@contextlib.contextmanager
def running(command: Sequence[str], lake: hp.MinIO, key: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a Python program that serves at the port, from when it is ready."""
    env = {**os.environ, "MINIO_SECRET_KEY": lake.secret_key.reveal(), "HOLDED_API_KEY": key}
    process = subprocess.Popen([sys.executable, *command], env=env, stderr=subprocess.DEVNULL)  # noqa: S603  our own
    try:
        wait_until_ready(port)
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_until_ready(port: int) -> None:
    """Waits until the API answers that it is ready."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2)
            return
        time.sleep(0.1)
    raise TimeoutError("the API did not get ready")
