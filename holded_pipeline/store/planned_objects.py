"""What a plan has of each object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import attrs

from holded_pipeline.store.read_plan import ReadPlan, ReadUnit, Slice, StoredObject

KeepObjects = Callable[[Sequence[StoredObject]], Sequence[StoredObject]]
"""Returns those of some objects that are wanted."""


def incomplete_objects(plan: ReadPlan) -> dict[str, tuple[int, int]]:
    """The keys of objects of which a plan has not every byte, each with how many it has and how many there are."""
    planned: Counter[Slice] = Counter()
    for part in _slices(plan):
        if not part.is_whole:
            planned[Slice(part.key, part.etag, part.size)] += part.length
    return {whole.key: (length, whole.size) for whole, length in planned.items() if length < whole.size}


def split_object(plan: ReadPlan) -> str | None:
    """The key of an object that a plan cuts between lines; None if there is none."""
    return next((part.key for part in _slices(plan) if not part.is_whole), None)


def keep_objects(plan: ReadPlan, keep: KeepObjects, *, at_once: int) -> ReadPlan:
    """The plan without the objects that `keep` leaves out, which is called with so many of them at a time."""
    objects = {(each.key, each.etag): StoredObject(each.key, each.size, each.etag) for each in _slices(plan)}
    objects |= {(each.key, each.etag): each for each in plan.empty}
    waiting = iter(objects.values())
    kept: set[tuple[str, str]] = set()
    while page := list(islice(waiting, at_once)):
        kept |= {(each.key, each.etag) for each in keep(page)}
    units = [tuple(part for part in unit.slices if (part.key, part.etag) in kept) for unit in plan.units]
    return attrs.evolve(
        plan,
        units=tuple(ReadUnit(slices) for slices in units if slices),
        empty=tuple(each for each in plan.empty if (each.key, each.etag) in kept),
    )


def _slices(plan: ReadPlan) -> Iterator[Slice]:
    return (part for unit in plan.units for part in unit.slices)
