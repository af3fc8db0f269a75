"""Threads and open files that something leaves behind."""

from __future__ import annotations

import gc
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/dev/fd")  # on Linux and macOS
_PATIENCE = 2.0  # seconds in which what was told to end may end


class LeakWatch:
    """Remembers which threads and open files this process has, to name those that came since.

    Args:
        ours: the name of threads that are none of the user's.
    """

    def __init__(self, ours: str) -> None:
        self._ours = ours
        self._threads = set(threading.enumerate())
        self._files = set(_open_files())

    def leaks(self) -> list[str]:
        """What came since and stays."""
        left = self._left()
        if left:
            gc.collect()  # what only waits to be collected is no leak; it takes too long to be done every time
        deadline = time.monotonic() + _PATIENCE
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = self._left()
        return sorted(left)

    def _left(self) -> list[str]:
        threads = {thread.name for thread in set(threading.enumerate()) - self._threads} - {self._ours}
        return [f"the thread {name!r}" for name in threads] + [_told(file) for file in set(_open_files()) - self._files]


def _open_files() -> Iterator[tuple[int, int, int, int]]:
    listed = list(_DESCRIPTORS.iterdir()) if _DESCRIPTORS.is_dir() else []
    for descriptor in (int(path.name) for path in listed):
        with suppress(OSError):  # that of the listing itself is closed by now
            found = os.fstat(descriptor)
            yield descriptor, found.st_mode, found.st_dev, found.st_ino


def _told(file: tuple[int, int, int, int]) -> str:
    descriptor, mode, _, _ = file
    kinds = ((stat.S_ISSOCK, "a socket"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISREG, "a file"))
    kind = next((kind for matches, kind in kinds if matches(mode)), "a descriptor")
    with suppress(OSError):
        return f"{kind} ({(_DESCRIPTORS / str(descriptor)).readlink()})"
    return kind
