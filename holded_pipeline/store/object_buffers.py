"""Objects that are being filled: lines are compressed in blocks, and an object is due by its size or its age."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

import attrs

from holded_pipeline.model.object_counts import ObjectCount, SourceTally, object_of
from holded_pipeline.store.compressed_body import CompressedBody, Piece
from holded_pipeline.store.compression import Compression
from holded_pipeline.store.object_names import ObjectIdentity

_COMPRESSOR_BYTES = 600 << 10  # memory of a compressor, rounded up
_BLOCK_BYTES = 256 << 10  # lines are compressed so many bytes at a time: a call for each line costs more than its work
_RUNNING_BYTES = 2 * _BLOCK_BYTES  # memory of the block that is being compressed, in pieces and as a whole
_BACKGROUND_BYTES = 1 << 20  # smaller objects wait for each block, so that they end within a block of their size
_OPEN_BYTES = 2 << 10  # memory of an object without lines
_CHUNK_OVERHEAD = 48  # memory of a bytes object and its place in a list, beside its bytes


Line = bytes | Iterable[bytes]
"""A line without its end, whole or in chunks."""


@attrs.frozen
class FinishedObject:
    """An object ready to be stored; `destination` is what its lines were added with.

    `objects` counts its lines by the objects that they were read from.
    """

    destination: Any
    body: bytes
    records: int
    identity: ObjectIdentity
    objects: tuple[ObjectCount, ...]


class _OpenObject:
    """Holds lines until there is a block of them. An object below one block gets its compressor when it is finished."""

    def __init__(
        self, compression: Compression | None, now: float, *, object_bytes: int, executor: Executor | None
    ) -> None:
        self.opened = now
        self.records = 0
        self.size = 0  # bytes that are known to have come out of the compressor
        self._held = _OPEN_BYTES  # bytes of memory without the block that is gathered
        self.identity = ObjectIdentity()
        self.sources = SourceTally()
        self._compression = compression
        self._object_bytes = object_bytes
        self._executor = executor if object_bytes >= _BACKGROUND_BYTES else None
        self._block_bytes = min(_BLOCK_BYTES, object_bytes)
        self._body: CompressedBody | None = None
        self._lines: list[bytes] = []
        self._pieces: list[Piece] = []
        self._time_member = b""
        self._block_held = 0  # bytes of memory of the block that is gathered
        self._line_bytes = 0

    @property
    def held(self) -> int:
        """Bytes of memory."""
        return self._held + self._block_held

    def add(self, lines: Sequence[Line], elements: Sequence[Any]) -> int:
        """Adds lines until there are none or the object has its size; returns how many."""
        begin = self.identity.begin
        number = 0
        for line, element in zip(lines, elements, strict=True):
            time_member = begin(element)
            if time_member is not self._time_member:
                self._end_piece()
                self._time_member = time_member
            if isinstance(line, bytes):
                last = line
            else:
                for chunk in line:
                    self._append(chunk)
                last = b""
            self._lines += (last, b"\n")
            size = len(last) + 1
            self._line_bytes += size
            self._block_held += size + 2 * _CHUNK_OVERHEAD
            if self._line_bytes >= self._block_bytes:
                self._compress()
            number += 1
            if self.size >= self._object_bytes:
                break
        self.records += number
        self.sources.add(map(object_of, elements[:number]))
        return number

    def _append(self, chunk: bytes) -> None:
        self._lines.append(chunk)
        size = len(chunk)
        self._line_bytes += size
        self._block_held += size + _CHUNK_OVERHEAD
        if self._line_bytes >= self._block_bytes:
            self._compress()

    def _compress(self) -> None:
        if self._body is None:
            self._body = CompressedBody(self._compression, self.identity, self._executor)
            self._held += _COMPRESSOR_BYTES if self._executor is None else _COMPRESSOR_BYTES + _RUNNING_BYTES
        size = self._body.add(self._take_pieces())
        self._held += size - self.size
        self.size = size

    def finish(self) -> bytes:
        body = self._body or CompressedBody(self._compression, self.identity, None)
        return body.finish(self._take_pieces())

    def _end_piece(self) -> None:
        """The lines since the last time are a piece of their own: they leave out the same member."""
        if self._lines:
            self._pieces.append((b"".join(self._lines), self._time_member, self.identity.take_origins()))
            self._lines.clear()

    def _take_pieces(self) -> list[Piece]:
        self._end_piece()
        pieces, self._pieces = self._pieces, []
        self._line_bytes = self._block_held = 0
        return pieces


class ObjectBuffers:
    """One open object for each destination, which is any key of a dict: a partition, say.

    Args:
        compression: the name of a codec, or None.
        object_bytes: an object of this many compressed bytes is due. Lines are compressed in blocks of 256 KiB, or of
            this size if it is less, so an object may have a block more, or two from 1 MiB on.
        object_seconds: an object this old is due.
        total_bytes: when all open objects together have more bytes in memory, the largest is due.
        executor: compresses while more lines are added; None to compress within `add`.
    """

    def __init__(
        self,
        compression: Compression | None,
        *,
        object_bytes: int,
        object_seconds: float,
        total_bytes: int,
        executor: Executor | None = None,
    ) -> None:
        self._executor = executor
        self._compression = compression
        self._object_bytes = object_bytes
        self._object_seconds = object_seconds
        self._total_bytes = total_bytes
        self._open: dict[Any, _OpenObject] = {}
        self._held_bytes = 0
        self._oldest = float("inf")  # when the first of the open objects was opened, or earlier

    def add(self, destination: Any, line: Line, element: Any, now: float) -> Sequence[FinishedObject]:
        """Adds one line; see `add_lines`."""
        return self.add_lines(destination, (line,), (element,), now)

    def add_lines(
        self,
        destination: Any,
        lines: Sequence[Line],
        elements: Sequence[Any],
        now: float,
        since: float | None = None,
    ) -> Sequence[FinishedObject]:
        """Adds lines to the object of their destination; returns the objects that are due by then.

        Args:
            destination: which object they belong to.
            lines: each without its end, whole or in chunks.
            elements: what each line was made of; where it came from goes into the object's identity, with the line.
            now: seconds, from any beginning.
            since: when the first of the elements came, if that was earlier: an object's age begins then.
        """
        due: list[FinishedObject] = []
        while lines:
            target = self._open_object(destination, now if since is None else since)
            before = target.held
            taken = target.add(lines, elements)
            lines, elements = lines[taken:], elements[taken:]
            self._held_bytes += target.held - before
            if (
                target.size >= self._object_bytes
                or self._held_bytes > self._total_bytes
                or now - self._oldest >= self._object_seconds
            ):
                due += self._due(destination, target, now)
        return due

    def _open_object(self, destination: Any, now: float) -> _OpenObject:
        target = self._open.get(destination)
        if target is None:
            target = self._open[destination] = _OpenObject(
                self._compression, now, object_bytes=self._object_bytes, executor=self._executor
            )
            self._held_bytes += target.held
            self._oldest = min(self._oldest, now)
        return target

    def _due(self, destination: Any, target: _OpenObject, now: float) -> list[FinishedObject]:
        due = []
        if target.size >= self._object_bytes:
            due.append(self._finish(destination))
        while self._held_bytes > self._total_bytes and len(self._open) > 1:
            due.append(self._finish(max(self._open, key=lambda other: self._open[other].held)))
        oldest = next(iter(self._open), None)  # dicts keep the order of opening
        while oldest is not None and now - self._open[oldest].opened >= self._object_seconds:
            due.append(self._finish(oldest))
            oldest = next(iter(self._open), None)
        self._oldest = now if oldest is None else self._open[oldest].opened
        return due

    def finish(self) -> Iterator[FinishedObject]:
        """All that is still open."""
        for destination in list(self._open):
            yield self._finish(destination)

    def _finish(self, destination: Any) -> FinishedObject:
        done = self._open.pop(destination)
        self._held_bytes -= done.held
        return FinishedObject(destination, done.finish(), done.records, done.identity, done.sources.counts())
