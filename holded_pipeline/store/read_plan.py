"""Which bytes one worker reads: small objects in groups, large files of lines in slices that end with a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

from holded_pipeline.model.html_tables import html_fields
from holded_pipeline.store.balanced_shares import divide_evenly


@attrs.frozen
class StoredObject:
    """An object as it is listed; `size` in bytes, `modified` when it was stored, by the store's clock."""

    key: str
    size: int
    etag: str
    modified: datetime | None = attrs.field(default=None, eq=False)


@attrs.frozen
class Slice:
    """Bytes `start` to `end` (exclusive; None: to the object's end) of one version of an object.

    `first_line` is the number of the line that the slice begins with.
    """

    key: str
    etag: str
    size: int
    start: int = 0
    end: int | None = None
    first_line: int = 1

    @property
    def length(self) -> int:
        """How many bytes it has."""
        return (self.size if self.end is None else self.end) - self.start

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its object."""
        return self.length == self.size

    def chunks(self, chunk_bytes: int) -> list[Slice]:
        """It in pieces of so many bytes, the last of fewer."""
        end = self.start + self.length
        return [
            Slice(self.key, self.etag, self.size, start, min(start + chunk_bytes, end))
            for start in range(self.start, end, chunk_bytes)
        ]


@attrs.frozen
class ReadUnit:
    """What one worker reads at a time."""

    slices: tuple[Slice, ...]

    @property
    def bytes(self) -> int:
        """How many bytes it has."""
        return sum(part.length for part in self.slices)


@attrs.frozen(repr=False)
class ReadPlan:
    """What is to be read: versions of objects, in units. Made by `plan`, read by `ReadMinIO(units=...)`.

    It can be pickled, holds no secret, and depends on no connection.

    Attributes:
        bucket: the bucket of all objects.
        pattern: the prefix or glob that was listed.
        units: the read units: some small objects, or a slice of a large line file. Each byte is in exactly one.
        empty: the objects without a byte, which a ledger settles, too.
        is_settled_with_others: whether it is a share that `run_shares` settles together with the others, so that it may
            have a part of an object.

    **Guarantees:** each object is read at the version that was listed, or not at all, see `on_vanished` of `ReadMinIO`.
    """

    bucket: str
    pattern: str
    units: tuple[ReadUnit, ...] = ()
    empty: tuple[StoredObject, ...] = ()
    is_settled_with_others: bool = False

    @property
    def objects(self) -> int:
        """How many objects it has a part of, the empty ones included."""
        return len({(part.key, part.etag) for unit in self.units for part in unit.slices}) + len(self.empty)

    @property
    def bytes(self) -> int:
        """How many bytes it has, as they are stored."""
        return sum(unit.bytes for unit in self.units)

    def shares(self, n: int, *, whole_objects: bool = False) -> list[ReadPlan]:
        """Divides the plan into plans of about as many bytes; each unit is in exactly one of them.

        The largest has at most one unit, with `whole_objects` one object, more than the smallest. If there are fewer
        units than shares, some are empty: make the plan with a smaller `unit_bytes` or `unit_objects`.

        Args:
            n: how many.
            whole_objects: whether the slices of an object stay in one share. A run with a ledger needs that, since it
                settles whole objects.

        Raises:
            ValueError: `n` is less than 1.
        """
        if n < 1:
            raise ValueError(f"a plan is divided into at least 1 share, got {n}")
        groups = self._groups_of_units() if whole_objects else [[unit] for unit in self.units]
        divided = divide_evenly([sum(unit.bytes for unit in group) for group in groups], n)
        return [
            attrs.evolve(
                self,
                units=tuple(unit for place in places for unit in groups[place]),
                empty=self.empty[number::n],
            )
            for number, places in enumerate(divided)
        ]

    def _groups_of_units(self) -> list[list[ReadUnit]]:
        """The units, those with slices of one object together."""
        groups: dict[tuple[str, ...] | int, list[ReadUnit]] = {}
        for number, unit in enumerate(self.units):
            first = unit.slices[0]
            groups.setdefault(number if first.is_whole else (first.key, first.etag), []).append(unit)
        return list(groups.values())

    def __repr__(self) -> str:
        return (
            f"<ReadPlan {self.bucket}/{self.pattern}: {self.objects:,} objects, {len(self.units):,} units, "
            f"{self.bytes:,} bytes>"
        )

    def _repr_html_(self) -> str:
        fields = {
            "bucket": self.bucket,
            "pattern": self.pattern,
            "objects": self.objects,
            "of them empty": len(self.empty),
            "units": len(self.units),
            "bytes": self.bytes,
            "largest unit": max((unit.bytes for unit in self.units), default=0),
        }
        return html_fields("ReadPlan", fields)


def divide_objects(
    objects: Iterable[StoredObject], *, unit_bytes: int, unit_objects: int
) -> Iterator[ReadUnit | StoredObject]:
    """Units of small objects, as `group_small` makes them, and the others as they are: large ones, and empty ones."""
    others: list[StoredObject] = []

    def small() -> Iterator[StoredObject]:
        for stored in objects:
            if 0 < stored.size <= unit_bytes:
                yield stored
            else:
                others.append(stored)

    for unit in group_small(small(), unit_bytes=unit_bytes, unit_objects=unit_objects):
        yield unit
        yield from others
        others.clear()
    yield from others


def group_small(objects: Iterable[StoredObject], *, unit_bytes: int, unit_objects: int) -> Iterator[ReadUnit]:
    """Units of at most `unit_bytes` and `unit_objects`; an object above `unit_bytes` is a unit by itself.

    Each object is in exactly one unit, in the listing's order. Empty objects are omitted, since they have no record.
    """
    group: list[Slice] = []
    group_bytes = 0
    for stored in objects:
        if stored.size == 0:
            continue
        if group and (group_bytes + stored.size > unit_bytes or len(group) >= unit_objects):
            yield ReadUnit(tuple(group))
            group, group_bytes = [], 0
        group.append(Slice(stored.key, stored.etag, stored.size))
        group_bytes += stored.size
    if group:
        yield ReadUnit(tuple(group))


def split_lines(
    stored: StoredObject, chunks: Iterable[bytes], *, unit_bytes: int, part: tuple[int, int] | None = None
) -> Iterator[ReadUnit]:
    """Units of about `unit_bytes` of one large file of lines, each a whole number of lines.

    The text is read once to find where to cut. So no reader has to read beyond its slice, and each knows the number of
    its first line. Together the slices cover every byte once.

    Args:
        stored: the object.
        chunks: its text.
        unit_bytes: a slice ends with the first line that ends here or later.
        part: only the lines that begin at these bytes (the second is exclusive); the text is read up to their end.
    """
    # E.g. with unit_bytes=5 and the text b"aa\nbb\ncc\ndd", whose bytes 2, 5 and 8 are line ends:
    #   the first slice ends with the first line end at byte 0 + 5 - 1 = 4 or later, that of byte 5: bytes 0 to 6;
    #   the second would end at byte 6 + 5 - 1 = 10 or later, where no line end is, so it goes to the end: 6 to 11.
    #   Its first_line is 3, since two line ends stand before it.
    # A part begins with the first line end at its first byte - 1 or later, and ends likewise, so that parts which
    # follow each other meet, whatever the slices within them.
    # `position` is where the chunk begins in the object; `earliest` and `searched` are positions in the chunk.
    # `line` is the number of the line that `searched` is in, and `first_line` that of the byte `start`.
    begin, stop = part or (0, stored.size)
    start = position = 0
    first_line = line = 1
    for chunk in chunks:
        searched = 0
        while (earliest := (begin if start < begin else min(start + unit_bytes, stop)) - position - 1) < len(chunk):
            newline = chunk.find(b"\n", max(earliest, searched))
            if newline < 0:
                break
            line += chunk.count(b"\n", searched, newline + 1)
            searched = newline + 1
            cut = position + searched
            if cut >= stored.size:
                break  # the last slice ends there anyway
            if start >= begin:
                yield _unit_of(stored, start, cut, first_line)
            start, first_line = cut, line
            if start >= stop:
                return
        line += chunk.count(b"\n", searched)
        position += len(chunk)
    if start >= begin:
        yield _unit_of(stored, start, stored.size, first_line)


def _unit_of(stored: StoredObject, start: int, end: int, first_line: int) -> ReadUnit:
    return ReadUnit((Slice(stored.key, stored.etag, stored.size, start, end, first_line),))
