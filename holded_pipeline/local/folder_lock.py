"""One stack over a folder: the lock of the folder, and who holds it."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import IO

from holded_pipeline.local.watchdog import started_at
from holded_pipeline.model.errors import ConfigurationError

_logger = logging.getLogger("holded_pipeline")
_SECONDS = 10.0  # the watchdog of a killed stack holds the lock until it has cleaned up


def acquire_folder(lock: IO[str], folder: Path) -> None:
    """Acquires the lock of a folder, and writes into its file which process has it.

    Waits only where that process is gone: its watchdog still stops its servers.

    Raises:
        ConfigurationError: another stack runs over the folder.
    """
    deadline = time.monotonic() + _SECONDS
    waits = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _running_holder(lock)
            if pid is not None or time.monotonic() > deadline:
                raise _taken(folder, pid) from None
            if not waits:
                waits = True
                _logger.warning("waiting for the servers of a process that has ended to stop, over %s", folder)
            time.sleep(0.1)
        else:
            lock.truncate(0)
            lock.write(f"{os.getpid()} {started_at(os.getpid())}")
            lock.flush()
            return


def _running_holder(lock: IO[str]) -> int | None:
    """The id of the process that has the lock, if it still runs."""
    lock.seek(0)
    pid, _, started = lock.read().partition(" ")
    return int(pid) if pid.isdecimal() and started and started_at(int(pid)) == started else None


def _taken(folder: Path, pid: int | None) -> ConfigurationError:
    if pid == os.getpid():
        return ConfigurationError(
            f"a stack of this process is running over {folder} already; use it, or stop it first: .stop(), or the end "
            "of its with block"
        )
    who = "another stack" if pid is None else f"another stack, of the process {pid},"
    return ConfigurationError(f"{who} is running over {folder}; stop it, or give this one another folder")
