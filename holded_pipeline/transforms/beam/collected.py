"""What the DoFns of a share collect for the process that runs it, as long as it does.

A share runs in one process, so its accounts need no table; those of an attempt that nobody waits for are not counted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from holded_pipeline.model.object_counts import ObjectVersion
from holded_pipeline.runs.object_accounts import Counts
from holded_pipeline.runs.settlement import StoredOutput
from holded_pipeline.runs.share_results import BudgetUse, ShareAccounts, ShareAttempt


class Collected:
    """What one attempt at a share has collected."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[ObjectVersion, Counts] = {}
        self._sums: tuple[Counts, Counts] = ((), ())
        self._outputs: dict[tuple[str, str], StoredOutput] = {}
        self._budgets: dict[str, BudgetUse] = {}

    def add_counts(self, elements: Iterable[tuple[ObjectVersion, Counts]], sums: tuple[Counts, Counts]) -> None:
        """Adds the counts of objects, each of which comes once, and the sums over all of them."""
        with self._lock:
            self._counts.update(elements)
            self._sums = sums

    def add_outputs(self, outputs: Iterable[StoredOutput]) -> None:
        """Adds objects with events that were stored."""
        with self._lock:
            self._outputs.update({(each.bucket, each.key): each for each in outputs})

    def add_budget(self, use: BudgetUse) -> None:
        """Adds how much of an error budget was used."""
        with self._lock:
            self._budgets[use.step] = use

    def accounts(self) -> ShareAccounts:
        """The accounts, without the sinks and their places, which the pipeline knows."""
        of_objects, without_source = self._sums
        return ShareAccounts(
            counts=self._counts,
            of_objects=of_objects,
            without_source=without_source,
            outputs=tuple(self._outputs.values()),
        )

    def budgets(self) -> tuple[BudgetUse, ...]:
        """How much of each error budget was used."""
        return tuple(self._budgets.values())


_collecting: dict[str, Collected] = {}


@contextmanager
def collecting(attempt: ShareAttempt) -> Iterator[Collected]:
    """What the DoFns of an attempt collect while the block runs."""
    _collecting[attempt.name] = Collected()
    try:
        yield _collecting[attempt.name]
    finally:
        del _collecting[attempt.name]


def collected_by(attempt: ShareAttempt) -> Collected:
    """What an attempt collects that runs in this process."""
    return _collecting[attempt.name]
