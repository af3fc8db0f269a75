"""Beam's own servers, each a process of this Python: a job service, and a pool of workers beside it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from holded_pipeline.local.ports import free_ports

_PORTABILITY = "apache_beam.runners.portability.local_job_service_main"
_POOL = "apache_beam.runners.worker.worker_pool_main"
_SECONDS = 60


@attrs.frozen
class WorkerPool:
    """A running pool: its address for `--environment_config`, and its process number."""

    address: str
    pid: int

    def workers(self) -> list[int]:
        """The process numbers of the workers that it runs now."""
        shown = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True, check=False
        )
        return [int(number) for number in shown.stdout.split()]


@contextlib.contextmanager
def local_job_service(log: Path, *, staging: Path) -> Iterator[str]:
    """The address of Beam's local job service, which runs a job on the workers that the job names."""
    (port,) = free_ports(1)
    with _running(log, [_PORTABILITY, "--port", str(port), "--staging_dir", str(staging)], port):
        yield f"localhost:{port}"


@contextlib.contextmanager
def worker_pool(log: Path, **environment: str) -> Iterator[WorkerPool]:
    """A pool whose workers have these environment variables beside those of this process."""
    (port,) = free_ports(1)
    with _running(log, [_POOL, f"--service_port={port}"], port, **environment) as pid:
        yield WorkerPool(f"localhost:{port}", pid)


@contextlib.contextmanager
def _running(log: Path, module: list[str], port: int, **environment: str) -> Iterator[int]:
    scripts = str(Path(sys.executable).parent)  # a pool starts its workers as `python`
    settings = os.environ | {"PATH": os.pathsep.join([scripts, os.environ["PATH"]])} | environment
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], stdout=output, stderr=output, env=settings, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
