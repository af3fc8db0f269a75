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
_CLOSING_SECONDS = 2.0  # for threads and files that are being closed


class LeakWatch:
    """Remembers the threads and open files of this process, and lists those that were opened since.

    Args:
        ignored_thread: the name of threads that are ours, not the user's.
    """

    def __init__(self, ignored_thread: str) -> None:
        self._ignored_thread = ignored_thread
        self._threads = set(threading.enumerate())
        self._files = set(_open_files())

    def leaks(self) -> list[str]:
        """The threads and files that were opened since and stay open."""
        left = self._still_open()
        if left:
            gc.collect()  # garbage is no leak; collecting takes too long to be done every time
        deadline = time.monotonic() + _CLOSING_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = self._still_open()
        return sorted(left)

    def _still_open(self) -> list[str]:
        threads = {thread.name for thread in set(threading.enumerate()) - self._threads} - {self._ignored_thread}
        return [f"the thread {name!r}" for name in threads] + [
            _describe_file(file) for file in set(_open_files()) - self._files
        ]


def _open_files() -> Iterator[tuple[int, int, int, int]]:
    listed = list(_DESCRIPTORS.iterdir()) if _DESCRIPTORS.is_dir() else []
    for descriptor in (int(path.name) for path in listed):
        with suppress(OSError):  # the descriptor of the listing itself is closed by now
            status = os.fstat(descriptor)
            yield descriptor, status.st_mode, status.st_dev, status.st_ino


def _describe_file(file: tuple[int, int, int, int]) -> str:
    descriptor, mode, _, _ = file
    kinds = ((stat.S_ISSOCK, "a socket"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISREG, "a file"))
    kind = next((kind for matches, kind in kinds if matches(mode)), "a descriptor")
    with suppress(OSError):
        return f"{kind} ({(_DESCRIPTORS / str(descriptor)).readlink()})"
    return kind
