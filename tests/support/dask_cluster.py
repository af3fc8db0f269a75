"""A Dask cluster of processes on loopback: a scheduler and workers, started as a user does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distributed import Client
from preloaded import Program

_START_SECONDS = 300
_SUPPORT = Path(__file__).parent

Process = Program | subprocess.Popen[bytes]


class DaskCluster:
    """Processes of Dask; each can be killed, and others started."""

    def __init__(self, folder: Path, allowed_failures: int = 2, host: str = "127.0.0.1", **settings: str) -> None:
        self._folder = folder
        self._temporary = tempfile.TemporaryDirectory(prefix="dask-")  # where killed workers leave what they had
        self._host = host
        self._settings = {
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures),
            "DASK_TEMPORARY_DIRECTORY": str(folder),
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
            "TMPDIR": self._temporary.name,
            **settings,
        }
        self._number = 0
        self.workers: list[Process] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Starts a scheduler; workers that are started later belong to it."""
        self._file = self._folder / f"scheduler-{self._next()}.json"
        self._workers_before = len(self.workers)
        arguments = ["--scheduler-file", str(self._file), "--port", "0", "--preload", "holded_pipeline"]
        self.scheduler = self._start("dask_scheduler", self._host, *arguments)

    def start_workers(self, number: int, *, host: str = "", command: Sequence[str] = (), **environment: str) -> None:
        """Starts workers, by a command if there is one, which load this library before they say that they are there."""
        for _ in range(number):
            arguments = ["--scheduler-file", str(self._file), "--nthreads", "1", "--no-nanny"]
            arguments += ["--preload", "holded_pipeline"]
            started = self._start("dask_worker", host or self._host, *arguments, command=command, **environment)
            self.workers.append(started)

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A client, when all workers of the present scheduler are there that live."""
        with Client(scheduler_file=str(self._file), timeout=_START_SECONDS) as client:
            alive = sum(1 for each in self.workers[self._workers_before :] if each.poll() is None)
            client.wait_for_workers(alive, timeout=_START_SECONDS)
            yield client

    def kill(self, process: Process) -> None:
        """As `kill -9`."""
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Ends all processes."""
        for each in (*self.workers, self.scheduler):
            self.kill(each)
        self._temporary.cleanup()

    def log(self) -> str:
        """What all processes have printed."""
        return "\n".join(each.read_text(errors="replace") for each in sorted(self._folder.glob("*.log")))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _start(
        self, program: str, host: str, *arguments: str, command: Sequence[str] = (), **environment: str
    ) -> Process:
        words = ["-m", f"distributed.cli.{program}", "--no-dashboard", "--host", host, *arguments]
        settings = os.environ | self._settings | {"PYTHONPATH": str(_SUPPORT)} | environment
        path = self._folder / f"{program}-{self._next()}.log"
        if not command:
            return Program(words, (path, path), env=settings, folder=self._folder)
        with path.open("wb") as log:
            whole = [*command, sys.executable, *words]
            return subprocess.Popen(whole, stdout=log, stderr=log, env=settings, cwd=self._folder)


def wait_until(condition: Any, seconds: float = 120) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.05)
