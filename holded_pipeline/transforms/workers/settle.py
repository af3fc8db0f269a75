"""What SettleObjects does on workers: writes down what became of each object, and settles the run at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from holded_pipeline.model.object_counts import ObjectVersion
from holded_pipeline.runs.balance import ObjectAccount, SinkCount
from holded_pipeline.runs.manifests import ManifestPlace, write_manifests
from holded_pipeline.runs.settlement import RunSettlement, Settlement, StoredOutput
from holded_pipeline.transforms.beam.batches import GLOBAL_WINDOW
from holded_pipeline.transforms.beam.outcome import Counters

_logger = logging.getLogger("holded_pipeline")
_AT_ONCE = 2_000
_STAGE = "settle"


class _RecordInBatches(beam.DoFn):
    """Writes elements down some at a time; gives how many for each time."""

    def __init__(self, settlement: RunSettlement) -> None:
        self._settlement = settlement
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


Counts = tuple[int, ...]
"""Of an object: read, slices that were read, dropped, dead letters, and of each sink what it received, duplicates and
what it rejected."""

NOWHERE: ObjectVersion = ("", "", "")
"""Stands in place of an object for elements without a source."""


def is_read(element: tuple[ObjectVersion, Counts]) -> bool:
    """Whether the object was read with the ledger; replays, and what is read for another ledger, are of others."""
    return element[1][1] > 0


class RecordAccounts(_RecordInBatches):
    """Takes an object's version with its counts, and beside them the sums over all objects, and those of `NOWHERE`."""

    def __init__(self, settlement: RunSettlement, sinks: tuple[str, ...]) -> None:
        super().__init__(settlement)
        self._sinks = sinks

    def process(self, element: tuple[ObjectVersion, Counts], sums: tuple[Counts, Counts]) -> Iterator[int]:
        self._sums = sums
        if is_read(element):
            yield from self.add(element)

    def record(self, elements: list[tuple[ObjectVersion, Counts]]) -> None:
        of_objects, without_source = (_sinks_of(each) for each in self._sums)
        # A sink of elements that all lack a source says nothing of objects.
        checked = [
            number
            for number in range(len(self._sinks))
            if not without_source or not without_source[number].records or of_objects[number].records
        ]
        names = [_described(self._sinks[number], without_source[number : number + 1]) for number in checked]
        accounts = [_account_of(*element, checked) for element in elements]
        self._counters.add("objects", len(accounts))
        self._settlement.add_objects(accounts, names)


def _described(sink: str, without_source: tuple[SinkCount, ...]) -> str:
    others = sum(each.records for each in without_source)
    return f"{sink} (beside {others} elements without a source)" if others else sink


def _sinks_of(counts: Counts) -> tuple[SinkCount, ...]:
    of_sinks = counts[4:]
    return tuple(SinkCount(*of_sinks[place : place + 3]) for place in range(0, len(of_sinks), 3))


def _account_of(version: ObjectVersion, counts: Counts, checked: list[int]) -> ObjectAccount:
    sinks = _sinks_of(counts)
    read, _, dropped, dead_letters, *_ = counts
    return ObjectAccount(*version, read, dropped, dead_letters, tuple(sinks[number] for number in checked))


class RecordOutputs(_RecordInBatches):
    """Takes the objects with events that the run stored, and beside them what is known when all reads are done.

    Each read begins with forgetting what an attempt of the run that died wrote down, so nothing is written before.
    """

    def process(self, element: StoredOutput, _: tuple[Counts, Counts]) -> Iterator[int]:
        return self.add(element)

    def record(self, elements: list[StoredOutput]) -> None:
        self._settlement.add_outputs(elements)


class SettleRun(beam.DoFn):
    """Settles the run when everything before it is done, and writes the manifests that are due."""

    def __init__(self, settlement: RunSettlement, places: tuple[ManifestPlace, ...]) -> None:
        self._settlement = settlement
        self._places = places

    def process(self, _: int) -> Iterator[Settlement]:
        settled = self._settlement.settle()
        write_manifests(self._settlement.db, self._settlement.ledger, self._places)
        _logger.info(
            "settled %d objects with %d records in the ledger %r", settled.objects, settled.records, settled.ledger
        )
        yield settled
