"""Beam's job service and its pool of workers as processes, from one that has imported what they need."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from preloaded import Program

from holded_pipeline.local.ports import free_ports

_JOB_SERVICE = "apache_beam.runners.portability.local_job_service_main"
_POOL = """
import sys, threading
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

_, server = BeamFnExternalWorkerPoolServicer.start(port=int(sys.argv[1]))
threading.Event().wait()
"""
_START_SECONDS = 60


@contextlib.contextmanager
def job_service(folder: Path) -> Iterator[str]:
    """The address of a job service, whose runs go on when `run` has returned."""
    (port,) = free_ports(1)
    with _listening(
        folder / "jobs.log", ["-m", _JOB_SERVICE, "--port", port, "--staging_dir", folder / "staged"], port
    ):
        yield f"localhost:{port}"


@contextlib.contextmanager
def pool_of_threads(folder: Path) -> Iterator[str]:
    """The address of a pool, which runs its workers in its own process."""
    (port,) = free_ports(1)
    script = folder / "pool.py"
    script.write_text(_POOL)
    with _listening(folder / "pool.log", [script, port], port):
        yield f"localhost:{port}"


@contextlib.contextmanager
def _listening(log: Path, words: list[object], port: int) -> Iterator[None]:
    program = Program(words, (log, log), env=os.environ | {"TMPDIR": str(log.parent)})
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            assert program.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        program.kill()
        program.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
