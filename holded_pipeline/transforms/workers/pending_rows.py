"""Rows of a load that wait to be loaded together, and where what is output for them belongs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.model.held_events import event_of_held, object_of_held
from holded_pipeline.model.object_counts import ObjectCount, ObjectVersion, SourceTally
from holded_pipeline.model.values import Event
from holded_pipeline.postgres.load_transaction import Cursor, LoadResult, NoteLoad
from holded_pipeline.postgres.run_loads import LoadNotes

Place = tuple[Timestamp | None, BoundedWindow]
"""The timestamp of an element, None in the global window, and its window."""

Item = tuple[bool, Any, Place]
"""Whether an element is an event, what is held of it, and its place."""


class PendingRows:
    """Lines that are loaded together, with the columns of each, and the element that it was made of."""

    def __init__(self, now: float) -> None:
        self.started = now
        self.items: list[Item] = []
        self.lines: list[bytes] = []
        self.columns: list[tuple[str, ...]] = []
        self.size = 0

    def add(self, item: Item, columns: tuple[str, ...], line: bytes) -> None:
        self.items.append(item)
        self.columns.append(columns)
        self.lines.append(line)
        self.size += len(line)

    def element(self, position: int) -> tuple[Any, Place]:
        is_event, held, place = self.items[position]
        return event_of_held(held) if is_event else held, place

    def objects(self, result: LoadResult) -> tuple[ObjectCount, ...]:
        """The rows by the objects that they were read from; see `LoadReceipt`."""
        read_from = [object_of_held(held) if is_event else None for is_event, held, _ in self.items]
        records, rejected, duplicates = SourceTally(), SourceTally(), SourceTally()
        records.add(read_from)
        rejected.add(read_from[position] for position, _ in result.rejected)
        if len(records.records()) > 1:
            duplicates.add(read_from[position] for position in result.duplicates_at)
        alone = result.duplicates if len(records.records()) == 1 and None not in read_from else 0
        return tuple(
            ObjectCount(
                *version,
                count,
                duplicates=alone or duplicates.records().get(version, 0),
                rejected=rejected.records().get(version, 0),
            )
            for version, count in records.records().items()
        )

    def noted_by(self, notes: LoadNotes | None) -> NoteLoad | None:
        """Notes what is new of these rows; None without notes."""
        if notes is None:
            return None

        def note(cursor: Cursor, result: LoadResult, positions: Sequence[int]) -> None:
            notes.write(cursor, result, self._new_by_object(result, positions))

        return note

    def _new_by_object(self, result: LoadResult, positions: Sequence[int]) -> dict[ObjectVersion, int]:
        """Rows at these positions that were inserted or updated, by object, where the result says which they are."""
        unchanged = {*result.duplicates_at, *(position for position, _ in result.rejected)}
        says_which = len(result.duplicates_at) == result.duplicates
        of_all, of_new = SourceTally(), SourceTally()
        items = [(position, *self.items[position][:2]) for position in positions]
        read_from = [(position, object_of_held(held) if is_event else None) for position, is_event, held in items]
        of_all.add(found for _, found in read_from)
        of_new.add(found for position, found in read_from if position not in unchanged)
        if says_which:
            return dict(of_new.records())
        alone = [version for version, count in of_all.records().items() if count == len(positions)]
        return dict.fromkeys(alone, result.inserted + result.updated)


def windowed_element(element: Any, place: Place) -> WindowedValue:
    """The element with the timestamp and the window of what is output for it."""
    timestamp, window = place
    if timestamp is None:  # in the global window
        is_event = isinstance(element, Event)
        timestamp = Timestamp.from_utc_datetime(element.occurred_at) if is_event else MIN_TIMESTAMP
    return WindowedValue(element, timestamp, (window,))
