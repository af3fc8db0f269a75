"""Which bytes are read together: small objects in groups, large line files in slices cut between lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs


@attrs.frozen
class StoredObject:
    """An object as a listing names it; `size` in bytes."""

    key: str
    size: int
    etag: str


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


@attrs.frozen
class ReadUnit:
    """What one worker reads at a time."""

    slices: tuple[Slice, ...]


def group_small(objects: Iterable[StoredObject], *, unit_bytes: int, unit_objects: int) -> Iterator[ReadUnit]:
    """Units of at most `unit_bytes` and `unit_objects`; an object above `unit_bytes` is a unit by itself.

    Each object is in exactly one unit, in the listing's order. Empty objects are left out: they hold no record.
    """
    group: list[Slice] = []
    held = 0
    for stored in objects:
        if stored.size == 0:
            continue
        if group and (held + stored.size > unit_bytes or len(group) >= unit_objects):
            yield ReadUnit(tuple(group))
            group, held = [], 0
        group.append(Slice(stored.key, stored.etag, stored.size))
        held += stored.size
    if group:
        yield ReadUnit(tuple(group))


def split_lines(stored: StoredObject, chunks: Iterable[bytes], *, unit_bytes: int) -> Iterator[ReadUnit]:
    """Units of about `unit_bytes` of one large line file, each a whole number of lines.

    The cuts follow a pass over the whole text, so no reader has to look past the ends of its slice, and each
    knows the number of its first line. Together the slices cover every byte once.
    """
    start = position = 0
    first_line = line = 1
    for chunk in chunks:
        searched = 0
        while (wanted := start + unit_bytes - position - 1) < len(chunk):
            newline = chunk.find(b"\n", max(wanted, searched))
            if newline < 0:
                break
            line += chunk.count(b"\n", searched, newline + 1)
            searched = newline + 1
            cut = position + searched
            if cut < stored.size:
                yield _unit(stored, start, cut, first_line)
                start, first_line = cut, line
            else:
                break
        line += chunk.count(b"\n", searched)
        position += len(chunk)
    yield _unit(stored, start, stored.size, first_line)


def _unit(stored: StoredObject, start: int, end: int, first_line: int) -> ReadUnit:
    return ReadUnit((Slice(stored.key, stored.etag, stored.size, start, end, first_line),))
