"""What the transforms have counted so far in this process, for whoever watches a run.

Beam shows its counters when a run is over. Here a watching thread reads what is counted already, and the counting
threads pay for it only when they flush. Bundles that fail and are repeated count twice here, never in Beam's counters.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Protocol
from weakref import WeakSet


class Counting(Protocol):
    """Something that counts; `pending()` is what it has not passed to `add_live` yet."""

    def pending(self) -> dict[str, int]:
        """The counts by name."""


lock = threading.Lock()
"""Held to move counts from pending to those here, so that a reader sees each once."""

_counted: Counter[str] = Counter()
_counting: WeakSet[Counting] = WeakSet()


def register_counting(counting: Counting) -> None:
    """Lets `live_counts` see the pending counts of something, as long as it exists."""
    with lock:
        _counting.add(counting)


def add_live(counts: dict[str, int]) -> None:
    """Adds to the counts; call it with the lock."""
    _counted.update(counts)


def count_live(name: str, amount: int = 1) -> None:
    """Counts something that Beam has no counter of."""
    with lock:
        _counted[name] += amount


def live_counts() -> dict[str, int]:
    """All counts of this process since it began."""
    with lock:
        total = _counted.copy()
        for counting in _counting:
            total.update(counting.pending())
    return dict(total)


class LiveCounts:
    """The counts since this was made."""

    def __init__(self) -> None:
        self._before = live_counts()

    def __call__(self) -> dict[str, int]:
        """The counts that grew."""
        return {name: grown for name, now in live_counts().items() if (grown := now - self._before.get(name, 0)) > 0}
