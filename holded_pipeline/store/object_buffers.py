"""Objects that are being filled: lines are compressed as they come, and an object is due by its size or its age."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from holded_pipeline.store.compression import Compression, new_compressor
from holded_pipeline.store.object_names import ObjectIdentity

_COMPRESSOR_BYTES = 300 << 10  # memory of a compressor (zlib's memory.h: about 268 KB at level 6)


@attrs.frozen
class FinishedObject:
    """An object ready to be stored; `destination` is what its lines were added with."""

    destination: Any
    body: bytes
    records: int
    identity: ObjectIdentity


class _OpenObject:
    def __init__(self, compression: Compression | None, now: float) -> None:
        self.opened = now
        self.records = 0
        self.size = 0  # bytes that came out of the compressor
        self.identity = ObjectIdentity()
        self._compressor = new_compressor(compression)
        self._parts: list[bytes] = []

    def add(self, line: Iterable[bytes], element: Any) -> None:
        self.identity.begin(element)
        for chunk in line:
            self._append(self._compressor.compress(chunk))
            self.identity.add(chunk)
        self._append(self._compressor.compress(b"\n"))
        self.records += 1

    def _append(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self.size += len(part)

    def finish(self) -> bytes:
        self._parts.append(self._compressor.flush())
        return b"".join(self._parts)


class ObjectBuffers:
    """One open object for each destination, which is any key of a dict: a partition, say.

    Args:
        compression: the name of a codec, or None.
        object_bytes: an object of this many compressed bytes is due.
        object_seconds: an object this old is due.
        total_bytes: when all open objects together have more, the largest is due.
    """

    def __init__(
        self, compression: Compression | None, *, object_bytes: int, object_seconds: float, total_bytes: int
    ) -> None:
        self._compression = compression
        self._object_bytes = object_bytes
        self._object_seconds = object_seconds
        self._total_bytes = total_bytes
        self._open: dict[Any, _OpenObject] = {}
        self._held_bytes = 0

    def add(
        self, destination: Any, line: bytes | Iterable[bytes], element: Any, now: float
    ) -> Iterator[FinishedObject]:
        """Adds a line to the object of its destination; yields the objects that are due by then.

        Args:
            destination: which object it belongs to.
            line: the line without its end, whole or in chunks.
            element: what the line was made of; where it came from goes into the object's identity, with the line.
            now: seconds, from any beginning.
        """
        target = self._open.get(destination)
        if target is None:
            target = self._open[destination] = _OpenObject(self._compression, now)
            self._held_bytes += _COMPRESSOR_BYTES
        before = target.size
        target.add((line,) if isinstance(line, bytes) else line, element)
        self._held_bytes += target.size - before
        if target.size >= self._object_bytes:
            yield self._finish(destination)
        while self._held_bytes > self._total_bytes and len(self._open) > 1:
            yield self._finish(max(self._open, key=lambda other: self._open[other].size))
        oldest = next(iter(self._open), None)  # dicts keep the order of opening
        while oldest is not None and now - self._open[oldest].opened >= self._object_seconds:
            yield self._finish(oldest)
            oldest = next(iter(self._open), None)

    def finish(self) -> Iterator[FinishedObject]:
        """All that is still open."""
        for destination in list(self._open):
            yield self._finish(destination)

    def _finish(self, destination: Any) -> FinishedObject:
        done = self._open.pop(destination)
        self._held_bytes -= done.size + _COMPRESSOR_BYTES
        return FinishedObject(destination, done.finish(), done.records, done.identity)
