"""A server process: started in a session of its own, watched until it is healthy, stopped by its number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from holded_pipeline.local import reaper
from holded_pipeline.model.errors import HoldedPipelineError


class StartError(HoldedPipelineError):
    """A server did not come up; the message ends with the last lines of its log."""


class Reaper:
    """The parent's end of the safety net (see `reaper`)."""

    def __init__(self, keep_open: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=tuple(keep_open),
            cwd="/",
        )

    def watch(self, pid: int) -> None:
        """Has this process stopped when the parent ends."""
        self._tell({"pid": pid, "born": reaper.born(pid)})

    def remove(self, path: Path) -> None:
        """Has this file or folder deleted when the parent ends."""
        self._tell({"remove": str(path)})

    def dismiss(self) -> None:
        """Everything is tidied up already."""
        self._tell({"done": True})
        assert self._process.stdin is not None  # noqa: S101  Popen was asked for it
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, order: dict[str, object]) -> None:
        assert self._process.stdin is not None  # noqa: S101  Popen was asked for it
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()


class Server:
    """One running server.

    Args:
        name: for messages.
        command: what to run.
        log: where its output goes.
        safety_net: has it stopped should this process end.
        env: its environment.
        user: the user and group id to become, if not one's own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        safety_net: Reaper,
        env: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> None:
        self._name = name
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the program that uses the server, not for the server
                env={**os.environ, **(env or {})},
                cwd="/",
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
            )
        safety_net.watch(self._process.pid)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def wait_until(self, healthy: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Polls until it is healthy.

        Raises:
            StartError: it ended, or was not healthy in time.
        """
        deadline = time.monotonic() + seconds
        while not healthy():
            if not self.running:
                raise StartError(f"{self._name} ended with code {self._process.returncode}; {self.last_words()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self._name} was not ready within {seconds:g} s; {self.last_words()}")
            time.sleep(0.03)

    def stop(self, how: signal.Signals = signal.SIGINT, *, patience: float = 20.0) -> None:
        """Sends a signal and waits for the end; kills what does not end."""
        if not self.running:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        text = self._log.read_text(errors="replace").splitlines()[-lines:]
        return f"the end of {self._log}:\n" + "\n".join(text)
