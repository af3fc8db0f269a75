"""The open rejections of a dead-letter store: objects listed, lines indexed by id, the chosen lines read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import apache_beam as beam

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import Rejected
from holded_pipeline.reading.framing import lines_of
from holded_pipeline.rejected.dead_letter_store import (
    BrokenRejectionError,
    is_resolution,
    read_rejected,
    read_resolution,
    read_summary,
    store_prefix,
)
from holded_pipeline.rejected.selection import Selection
from holded_pipeline.store.compression import decompress
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import ReadUnit, Slice, group_small
from holded_pipeline.transforms.beam import coders  # noqa: F401  registers the coder of rejections
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.transforms.beam.store_access import OpenChunks, StoreDoFn

BROKEN = "broken"
"""The counter of rejections that break their schema: `replay.broken`."""

_UNIT_BYTES = 16 << 20
_UNIT_OBJECTS = 500
_CLOSED = None
_LOGGED_BROKEN = 20  # broken rejections that a worker names in the log; all are counted

_logger = logging.getLogger("holded_pipeline")
T = TypeVar("T")
_ObjectVersion = tuple[str, str, int]  # key, etag, size


class OpenRejected(beam.PTransform):
    """A pipeline to the open rejections that match a selection, each once.

    The objects are read twice: once for ids, which decide, and once for the rejections that were chosen. Only ids and
    positions are shuffled.
    """

    def __init__(self, lake: MinIO, prefix: str, selection: Selection) -> None:
        super().__init__()
        self._lake = lake
        self._prefix = prefix
        self._selection = selection

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        """Lists, indexes, chooses, reads."""
        return (
            pipeline
            | "NamePrefix" >> beam.Create([store_prefix(self._prefix)])
            | "ListObjects" >> beam.ParDo(_ListRejectedObjects(self._lake, self._selection)).with_output_types(ReadUnit)
            | "SpreadUnits" >> beam.Reshuffle()
            | "IndexLines"
            >> beam.ParDo(_IndexLines(self._lake, self._prefix, self._selection)).with_output_types(tuple[str, Any])
            | "ById" >> beam.GroupByKey()
            | "ChooseOpen" >> beam.FlatMap(_choose_open).with_output_types(tuple[_ObjectVersion, int])
            | "ByObject" >> beam.GroupByKey()
            | "ReadOpen" >> beam.ParDo(_ReadOpen(self._lake)).with_output_types(Rejected)
        )


class _ListRejectedObjects(StoreDoFn):
    def __init__(self, lake: MinIO, selection: Selection) -> None:
        super().__init__(lake)
        self._selection = selection

    def process(self, prefix: str) -> Iterator[ReadUnit]:
        listed = (stored for stored in self._store.objects(prefix) if self._selection.needs_object(prefix, stored.key))
        return group_small(listed, unit_bytes=_UNIT_BYTES, unit_objects=_UNIT_OBJECTS)


class _ReadLinesDoFn(StoreDoFn):
    """A DoFn that reads lines, and skips, counts and logs rejections that break their schema."""

    def __init__(self, lake: MinIO) -> None:
        super().__init__(lake)
        self._counters = Counters("replay")
        self._broken = 0

    def finish_bundle(self) -> None:
        self._counters.flush()

    def _read_or_skip(self, read: Callable[[bytes, str], T], line: bytes, position: str) -> T | None:
        try:
            return read(line, position)
        except BrokenRejectionError as error:
            self._counters.add(BROKEN)
            self._broken += 1
            if self._broken <= _LOGGED_BROKEN:
                _logger.warning("%s", error)
            return None


class _IndexLines(_ReadLinesDoFn):
    """A read unit to entries by id: the position of a rejection, or that it is closed.

    For a rejection a of line 7, which replays b, it yields `(a, (time, matches, key, etag, size, 7))` and
    `(b, _CLOSED)`; for a resolution of c, `(c, _CLOSED)`.
    """

    def __init__(self, lake: MinIO, prefix: str, selection: Selection) -> None:
        super().__init__(lake)
        self._prefix = prefix
        self._selection = selection

    def process(self, unit: ReadUnit) -> Iterator[tuple[str, Any]]:
        for unit_slice, open_chunks in self.bodies(unit):
            for number, line, position in _numbered_lines(self._lake, unit_slice, open_chunks):
                if is_resolution(self._prefix, unit_slice.key):
                    yield read_resolution(line, position), _CLOSED
                    continue
                summary = self._read_or_skip(read_summary, line, position)
                if summary is None:
                    continue
                if summary.replay_of is not None:
                    yield summary.replay_of, _CLOSED
                found = (unit_slice.key, unit_slice.etag, unit_slice.size, number)
                yield summary.id, (summary.rejected_at.isoformat(), self._selection.matches(summary), *found)


def _choose_open(entries: tuple[str, Iterable[Any]]) -> Iterator[tuple[_ObjectVersion, int]]:
    """The newest rejection of one id, if it is open and matches.

    A replay that failed and was repeated may leave two with one id; the later one has the newer reason.
    """
    newest: Any = None
    for entry in entries[1]:
        if entry is _CLOSED:
            return
        newest = entry if newest is None else max(newest, entry)
    _, matches, key, etag, size, number = newest
    if matches:
        yield (key, etag, size), number


class _ReadOpen(_ReadLinesDoFn):
    """An object and the numbers of the chosen lines to their rejections."""

    def process(self, chosen: tuple[_ObjectVersion, Iterable[int]]) -> Iterator[Rejected]:
        (key, etag, size), numbers = chosen
        wanted = set(numbers)
        ((unit_slice, open_chunks),) = self.bodies(ReadUnit((Slice(key, etag, size),)))
        for number, line, position in _numbered_lines(self._lake, unit_slice, open_chunks):
            if number in wanted and (rejected := self._read_or_skip(read_rejected, line, position)) is not None:
                yield rejected


def _numbered_lines(lake: MinIO, unit_slice: Slice, open_chunks: OpenChunks) -> Iterator[tuple[int, bytes, str]]:
    """Yields number, text and position of each line that is not blank, of any length; one is held at a time."""
    name = f"{lake.bucket}/{unit_slice.key}"
    number = 0
    try:
        for number, (line, _) in enumerate(lines_of(decompress(open_chunks()), keep_bytes=float("inf")), 1):
            if line.strip():
                yield number, line, f"{name}, line {number},"
    except RejectRecord as fault:
        raise ConfigurationError(
            f"{name} is damaged after line {number}: {fault.message}; nothing was replayed. "
            "Move the object out of the prefix, or restore it"
        ) from fault
