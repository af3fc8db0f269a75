"""A server process: started in a session of its own, polled until it is healthy, stopped by its process id."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from holded_pipeline.local.private_files import UMASK, open_private
from holded_pipeline.local.watchdog import started_at
from holded_pipeline.model.errors import HoldedPipelineError

_logger = logging.getLogger("holded_pipeline")
_QUIET_SECONDS = 3.0  # that a server may take to end without a word
_WATCHDOG_SCRIPT = Path(__file__).with_name("watchdog.py")


class StartError(HoldedPipelineError):
    """A server did not start; the message ends with the last lines of its log."""


class Watchdog:
    """Cleans up when this process ends, however it ends.

    It is a process of its own, see `watchdog.py`; this is the parent's side of it.

    Args:
        keep_open: file descriptors that stay open until the watchdog is done, such as that of a lock.
    """

    def __init__(self, keep_open: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WATCHDOG_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=tuple(keep_open),
            cwd="/",
        )

    def stop_process(self, pid: int) -> None:
        """Stops this process when the parent ends."""
        self._send({"pid": pid, "started_at": started_at(pid)})

    def remove(self, path: Path) -> None:
        """Deletes this file or folder when the parent ends."""
        self._send({"remove": str(path)})

    def dismiss(self) -> None:
        """Ends the watchdog without a cleanup: the parent has done it."""
        self._send({"done": True})
        assert self._process.stdin is not None  # noqa: S101  Popen was asked for it
        self._process.stdin.close()
        self._process.wait()

    def _send(self, order: dict[str, object]) -> None:
        assert self._process.stdin is not None  # noqa: S101  Popen was asked for it
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()


class Server:
    """One running server. What it creates is its owner's alone.

    Args:
        name: for messages.
        command: what to run.
        log: where its output goes.
        watchdog: stops the server when this process ends.
        env: environment variables, added to those of this process.
        without: how variables of this process begin that the server does not get.
        user: the user and group id to run as; None for those of this process.
        folder: where it runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        watchdog: Watchdog,
        env: Mapping[str, str] | None = None,
        without: tuple[str, ...] = (),
        user: int | None = None,
        folder: Path = Path("/"),
    ) -> None:
        self._name = name
        self._log = log
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(without)}
        with open(log, "ab", opener=open_private) as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the program that uses the server, not for the server
                env={**inherited, **(env or {})},
                cwd=folder,
                umask=UMASK,
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
            )
        watchdog.stop_process(self._process.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def wait_until(self, healthy: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Polls until it is healthy.

        Raises:
            StartError: the process ended, or was not healthy in time.
        """
        deadline = time.monotonic() + seconds
        while not healthy():
            if not self.running:
                raise StartError(f"{self._name} ended with code {self._process.returncode}; {self._log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self._name} was not ready within {seconds:g} s; {self._log_tail()}")
            time.sleep(0.03)

    def stop(self, how: signal.Signals = signal.SIGINT, *, seconds: float = 20.0) -> None:
        """Sends a signal and waits for the process to end; kills it after `seconds`."""
        if not self.running:
            return
        self._process.send_signal(how)
        if self._ends_within(min(_QUIET_SECONDS, seconds)):
            return
        _logger.warning(
            "waiting for %s to end, for up to %g s more: it ends the calls of its clients and stores what is in memory",
            self._name,
            seconds - _QUIET_SECONDS,
        )
        if not self._ends_within(seconds - _QUIET_SECONDS):
            _logger.warning("%s did not end in %g s and is killed; what it had confirmed is kept", self._name, seconds)
            self._process.kill()
            self._process.wait()

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _log_tail(self, count: int = 12) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-count:]
        return f"the end of {self._log}:\n" + "\n".join(lines)
