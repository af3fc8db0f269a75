"""What one package may cost: CPU time, looked at now and then, since a look at the clock costs as much as an event."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from holded_pipeline.api.problems import Problem

CPU_SECONDS: Final = 10.0
"""CPU time that a package may take, however busy the machine is."""

_EVENTS = 32
_BYTES = 1 << 16


class PackageCost:
    """Counts the cost of one package, from now on.

    Args:
        cpu_seconds: the clock: the CPU time of the thread, and of what works for it.
    """

    def __init__(self, cpu_seconds: Callable[[], float] = time.thread_time) -> None:
        self._cpu_seconds = cpu_seconds
        self._deadline = cpu_seconds() + CPU_SECONDS
        self._events = self._bytes = 0

    def add(self, size: int) -> None:
        """Counts an event or a chunk of so many bytes, and looks at the clock after 32 of them, or 64 KiB.

        Raises:
            Problem: 413 `too_costly`.
        """
        self._events += 1
        self._bytes += size
        if self._events >= _EVENTS or self._bytes >= _BYTES:
            self.require_time()

    def require_time(self) -> None:
        """Looks at the clock now, as after an event that may have cost much.

        Raises:
            Problem: 413 `too_costly`.
        """
        self._events = self._bytes = 0
        if self._cpu_seconds() > self._deadline:
            detail = f"the package takes more than {CPU_SECONDS:g} s to read and check; split it into several"
            raise Problem(413, "too_costly", detail)
