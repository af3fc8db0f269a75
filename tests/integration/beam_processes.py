"""Beam's own servers, each in a process of its own: a job service and a worker pool."""

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
_START_SECONDS = 60


@attrs.frozen
class WorkerPool:
    """A running pool: its address for `--environment_config`, and its process id."""

    address: str
    pid: int

    def workers(self) -> list[int]:
        """The process ids of its running workers."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]


@contextlib.contextmanager
def local_job_service(log: Path, *, staging: Path) -> Iterator[str]:
    """The address of Beam's local job service. It runs a job on the workers that the job names."""
    (port,) = free_ports(1)
    with _run_module(log, [_PORTABILITY, "--port", str(port), "--staging_dir", str(staging)], port):
        yield f"localhost:{port}"


@contextlib.contextmanager
def worker_pool(log: Path, **environment: str) -> Iterator[WorkerPool]:
    """A pool whose workers have these environment variables in addition to those of this process."""
    (port,) = free_ports(1)
    with _run_module(log, [_POOL, f"--service_port={port}"], port, **environment) as pid:
        yield WorkerPool(f"localhost:{port}", pid)


@contextlib.contextmanager
def _run_module(log: Path, module: list[str], port: int, **environment: str) -> Iterator[int]:
    scripts = str(Path(sys.executable).parent)  # a pool starts its workers as `python`
    settings = os.environ | {"PATH": os.pathsep.join([scripts, os.environ["PATH"]])} | environment
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], stdout=output, stderr=output, env=settings, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _is_listening(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
