"""The counts of objects, from which their accounts are made: each step counts a part, and all parts are added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from holded_pipeline.model.object_counts import ObjectVersion
from holded_pipeline.runs.balance import ObjectAccount, SinkCount

Counts = tuple[int, ...]
"""Of an object: read, slices that were read, dropped, dead letters, and of each sink what it received, duplicates and
what it rejected."""

COUNTS_PER_SINK: Final = 3
READ_AT, _SLICES_AT, DROPPED_AT, DEAD_LETTERS_AT, FIRST_SINK_AT = range(5)
"""Places in the counts of an object."""

NOWHERE: ObjectVersion = ("", "", "")
"""Stands in place of an object for elements without a source."""


def is_read(element: tuple[ObjectVersion, Counts]) -> bool:
    """Whether the object was read with the ledger; replays, and what is read for another ledger, are of others."""
    return element[1][_SLICES_AT] > 0


def add_counts(counts: Iterable[Counts]) -> Counts:
    """The sums, place by place; empty counts are left out."""
    totals: list[int] = []
    for each in filter(None, counts):
        totals = [total + value for total, value in zip(totals, each, strict=True)] if totals else list(each)
    return tuple(totals)


def accounts_of(
    elements: Iterable[tuple[ObjectVersion, Counts]], sums: tuple[Counts, Counts], sinks: Sequence[str]
) -> tuple[list[ObjectAccount], list[str]]:
    """The accounts of objects, and the names of the sinks that they speak of.

    Args:
        elements: the counts of objects.
        sums: those of all objects, and those of `NOWHERE`.
        sinks: the names of all sinks, in the order of the counts.
    """
    of_objects, without_source = (_sinks_of(each) for each in sums)
    # A sink of elements that all lack a source says nothing of objects.
    checked = [
        number
        for number in range(len(sinks))
        if not without_source or not without_source[number].records or of_objects[number].records
    ]
    names = [_described(sinks[number], without_source[number : number + 1]) for number in checked]
    return [_account_of(*element, checked) for element in elements], names


def _described(sink: str, without_source: tuple[SinkCount, ...]) -> str:
    others = sum(each.records for each in without_source)
    return f"{sink} (beside {others} elements without a source)" if others else sink


def _sinks_of(counts: Counts) -> tuple[SinkCount, ...]:
    of_sinks = counts[FIRST_SINK_AT:]
    return tuple(
        SinkCount(*of_sinks[place : place + COUNTS_PER_SINK]) for place in range(0, len(of_sinks), COUNTS_PER_SINK)
    )


def _account_of(version: ObjectVersion, counts: Counts, checked: list[int]) -> ObjectAccount:
    sinks = _sinks_of(counts)
    read, _, dropped, dead_letters, *_ = counts
    return ObjectAccount(*version, read, dropped, dead_letters, tuple(sinks[number] for number in checked))
