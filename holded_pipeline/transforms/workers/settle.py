"""What SettleObjects does on workers: writes down what became of each object, and settles the run at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import apache_beam as beam
import attrs

from holded_pipeline.model.object_counts import ObjectVersion
from holded_pipeline.runs.manifests import ManifestPlace, write_manifests
from holded_pipeline.runs.object_accounts import Counts, accounts_of, is_read
from holded_pipeline.runs.settlement import RunSettlement, Settlement, StoredOutput
from holded_pipeline.runs.share_results import ShareAttempt
from holded_pipeline.transforms.beam.batches import GLOBAL_WINDOW
from holded_pipeline.transforms.beam.collected import collected_by
from holded_pipeline.transforms.beam.outcome import Counters

_logger = logging.getLogger("holded_pipeline")
_AT_ONCE = 2_000
_STAGE = "settle"


class Accounts(Protocol):
    """Where the accounts of a pipeline go, and what is done with them at its end."""

    def add_counts(self, elements: Sequence[tuple[ObjectVersion, Counts]], sums: tuple[Counts, Counts]) -> None:
        """Adds the counts of objects; `sums` are those of all objects, and those of `NOWHERE`."""

    def add_outputs(self, outputs: Sequence[StoredOutput]) -> None:
        """Adds objects with events that were stored."""

    def settle(self) -> Iterator[Settlement]:
        """Ends the accounts, when everything is durable."""


@attrs.frozen
class AccountsOfRun:
    """Accounts of a whole run: they go to the ledger's database, and the run is settled."""

    settlement: RunSettlement
    sinks: tuple[str, ...]
    places: tuple[ManifestPlace, ...]

    def add_counts(self, elements: Sequence[tuple[ObjectVersion, Counts]], sums: tuple[Counts, Counts]) -> None:
        """Adds the counts of objects."""
        self.settlement.add_objects(*accounts_of(elements, sums, self.sinks))

    def add_outputs(self, outputs: Sequence[StoredOutput]) -> None:
        """Adds objects with events."""
        self.settlement.add_outputs(outputs)

    def settle(self) -> Iterator[Settlement]:
        """Settles the run, and writes the manifests that are due."""
        settled = self.settlement.settle()
        write_manifests(self.settlement.db, self.settlement.ledger, self.places)
        _logger.info(
            "settled %d objects with %d records in the ledger %r", settled.objects, settled.records, settled.ledger
        )
        yield settled


@attrs.frozen
class AccountsOfShare:
    """Accounts of a share of a run: whoever placed the shares adds them up, and settles."""

    attempt: ShareAttempt

    def add_counts(self, elements: Sequence[tuple[ObjectVersion, Counts]], sums: tuple[Counts, Counts]) -> None:
        """Adds the counts of objects."""
        collected_by(self.attempt).add_counts(elements, sums)

    def add_outputs(self, outputs: Sequence[StoredOutput]) -> None:
        """Adds objects with events."""
        collected_by(self.attempt).add_outputs(outputs)

    def settle(self) -> Iterator[Settlement]:
        """Settles nothing."""
        return iter(())


class _RecordInBatches(beam.DoFn):
    """Writes elements down some at a time; gives how many for each time."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._counters = Counters(_STAGE)

    def record(self, elements: list[Any]) -> None:
        raise NotImplementedError

    def start_bundle(self) -> None:
        self._waiting: list[Any] = []

    def add(self, element: Any) -> Iterator[int]:
        self._waiting.append(element)
        if len(self._waiting) >= _AT_ONCE:
            yield self._record()

    def finish_bundle(self) -> Iterator[Any]:
        if self._waiting:
            yield beam.utils.windowed_value.WindowedValue(
                self._record(), GLOBAL_WINDOW.max_timestamp(), (GLOBAL_WINDOW,)
            )
        self._counters.flush()

    def _record(self) -> int:
        waiting, self._waiting = self._waiting, []
        self.record(waiting)
        return len(waiting)


class RecordAccounts(_RecordInBatches):
    """Takes an object's version with its counts, and beside them the sums over all objects, and those of `NOWHERE`."""

    def process(self, element: tuple[ObjectVersion, Counts], sums: tuple[Counts, Counts]) -> Iterator[int]:
        self._sums = sums
        if is_read(element):
            yield from self.add(element)

    def record(self, elements: list[tuple[ObjectVersion, Counts]]) -> None:
        self._counters.add("objects", len(elements))
        self._accounts.add_counts(elements, self._sums)


class RecordOutputs(_RecordInBatches):
    """Takes the objects with events that the run stored, and beside them what is known when all reads are done.

    Each read begins with forgetting what an attempt of the run that died wrote down, so nothing is written before.
    """

    def process(self, element: StoredOutput, _: tuple[Counts, Counts]) -> Iterator[int]:
        return self.add(element)

    def record(self, elements: list[StoredOutput]) -> None:
        self._accounts.add_outputs(elements)


class SettleRun(beam.DoFn):
    """Settles the run when everything before it is done."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def process(self, _: int) -> Iterator[Settlement]:
        return self._accounts.settle()
