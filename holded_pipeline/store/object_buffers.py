"""Objects in the making: lines are compressed as they come, and an object is due by size or by age."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol

import attrs
import zstandard

from holded_pipeline.store.object_names import ObjectIdentity

Compression = Literal["gzip", "zstd"]
_STATE_BYTES = 300 << 10  # what a compressor holds of its own (zlib's memory.h: about 268 KB at level 6)
ENDINGS: dict[str | None, str] = {None: ".jsonl", "gzip": ".jsonl.gz", "zstd": ".jsonl.zst"}


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _compressor(compression: Compression | None) -> _Compressor:
    if compression == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, 31)  # its header holds no time: equal lines, equal bytes
    if compression == "zstd":
        return zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return _Plain()


@attrs.frozen
class FinishedObject:
    """An object ready to be stored."""

    place: Any
    body: bytes
    records: int
    identity: ObjectIdentity


class _Open:
    def __init__(self, compression: Compression | None, now: float) -> None:
        self.opened = now
        self.records = 0
        self.size = 0  # bytes that came out of the compressor
        self.identity = ObjectIdentity()
        self._compressor = _compressor(compression)
        self._parts: list[bytes] = []

    def add(self, line: Iterable[bytes], element: Any) -> None:
        self.identity.begin(element)
        for piece in line:
            self._take(self._compressor.compress(piece))
            self.identity.add(piece)
        self._take(self._compressor.compress(b"\n"))
        self.records += 1

    def _take(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self.size += len(part)

    def finish(self) -> bytes:
        self._parts.append(self._compressor.flush())
        return b"".join(self._parts)


class ObjectBuffers:
    """One open object for each place (a partition, say).

    Args:
        compression: `gzip`, `zstd` or None.
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
        self._open: dict[Any, _Open] = {}
        self._held = 0

    def add(self, place: Any, line: bytes | Iterable[bytes], element: Any, now: float) -> Iterator[FinishedObject]:
        """Adds a line to the object of its place; yields the objects that are due by then.

        Args:
            place: which object it belongs to.
            line: the line without its end, in one piece or in several.
            element: what the line was made of; where it came from goes into the object's identity, with the line.
            now: seconds, from any beginning.
        """
        target = self._open.get(place)
        if target is None:
            target = self._open[place] = _Open(self._compression, now)
            self._held += _STATE_BYTES
        before = target.size
        target.add((line,) if isinstance(line, bytes) else line, element)
        self._held += target.size - before
        if target.size >= self._object_bytes:
            yield self._finish(place)
        while self._held > self._total_bytes and len(self._open) > 1:
            yield self._finish(max(self._open, key=lambda other: self._open[other].size))
        oldest = next(iter(self._open), None)  # dicts keep the order of opening
        while oldest is not None and now - self._open[oldest].opened >= self._object_seconds:
            yield self._finish(oldest)
            oldest = next(iter(self._open), None)

    def finish(self) -> Iterator[FinishedObject]:
        """All that is still open."""
        for place in list(self._open):
            yield self._finish(place)

    def _finish(self, place: Any) -> FinishedObject:
        done = self._open.pop(place)
        self._held -= done.size + _STATE_BYTES
        return FinishedObject(place, done.finish(), done.records, done.identity)
