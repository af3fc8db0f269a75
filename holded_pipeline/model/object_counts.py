"""Records counted by the version of the object that they were read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from holded_pipeline.model.carried_text import ReadObject
from holded_pipeline.model.values import Event, Rejected, Source

ObjectVersion = tuple[str, str, str]
"""Bucket, key and etag."""


@attrs.frozen
class ObjectCount:
    """How many records of one version of an object came to a step.

    Attributes:
        bucket: of the object.
        key: of the object.
        etag: the version.
        records: all of them, duplicates and rejected ones included.
        duplicates: those that changed nothing, of a step that can say so.
        rejected: those that the step rejected.
    """

    bucket: str
    key: str
    etag: str
    records: int
    duplicates: int = 0
    rejected: int = 0


class SourceTally:
    """Counts by the object that something was read from; what has no source is in no count."""

    def __init__(self) -> None:
        self._records: dict[ObjectVersion, int] = {}

    def add(self, objects: Iterable[ReadObject | Source | None]) -> None:
        """Counts one record for each object; see `object_of`."""
        # Records that follow each other are of one object, and most share the very instance of it.
        previous: ReadObject | Source | None = None
        count = 0
        for found in objects:
            if found is not previous:
                self._count(previous, count)
                previous, count = found, 0
            count += 1
        self._count(previous, count)

    def _count(self, found: ReadObject | Source | None, count: int) -> None:
        if found is not None:
            version = (found.bucket, found.key, found.etag)
            self._records[version] = self._records.get(version, 0) + count

    def records(self) -> Mapping[ObjectVersion, int]:
        """The counts."""
        return self._records

    def counts(self) -> tuple[ObjectCount, ...]:
        """The counts, of records alone."""
        return tuple(ObjectCount(*version, records) for version, records in self._records.items())


def object_of(element: Any) -> ReadObject | Source | None:
    """The object that an event or a rejected record was read from; None of any other element."""
    if isinstance(element, Event):
        position = element.__dict__.get("_position")
        return element.source if position is None else position[0]
    return element.source if isinstance(element, Rejected) else None
