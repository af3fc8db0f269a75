"""The open rejections of a pile: listed, indexed by id, and read where they stand."""

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
    Selection,
    is_resolution,
    read_rejected,
    read_resolution,
    read_summary,
    store_prefix,
)
from holded_pipeline.store.compression import decompress
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import ReadUnit, Slice, group_small
from holded_pipeline.transforms.beam import coders  # noqa: F401  registers how rejections travel
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.transforms.beam.store_access import OpenChunks, StoreDoFn

BROKEN = "broken"
"""The counter, in the namespace of all, of rejections that break their schema: `replay.broken`."""

_UNIT_BYTES = 16 << 20
_UNIT_OBJECTS = 500
_CLOSED = None
_NAMED = 20  # broken rejections that a worker names in the log; all are counted

_logger = logging.getLogger("holded_pipeline")
T = TypeVar("T")
_Address = tuple[str, str, int]  # key, etag, size


class OpenRejected(beam.PTransform):
    """A pipeline to the rejections of a pile that are open and meant, each once.

    The pile is read twice: once for ids, which decide, and once for the records that were chosen. Only ids and
    addresses are shuffled.
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
            | "NamePile" >> beam.Create([store_prefix(self._prefix)])
            | "ListPile" >> beam.ParDo(_ListPile(self._lake, self._selection)).with_output_types(ReadUnit)
            | "SpreadUnits" >> beam.Reshuffle()
            | "IndexPile"
            >> beam.ParDo(_IndexPile(self._lake, self._prefix, self._selection)).with_output_types(tuple[str, Any])
            | "ById" >> beam.GroupByKey()
            | "ChooseOpen" >> beam.FlatMap(_choose_open).with_output_types(tuple[_Address, int])
            | "ByObject" >> beam.GroupByKey()
            | "ReadOpen" >> beam.ParDo(_ReadOpen(self._lake)).with_output_types(Rejected)
        )


class _ListPile(StoreDoFn):
    def __init__(self, lake: MinIO, selection: Selection) -> None:
        super().__init__(lake)
        self._selection = selection

    def process(self, prefix: str) -> Iterator[ReadUnit]:
        listed = (stored for stored in self._store.objects(prefix) if self._selection.may_hold(prefix, stored.key))
        return group_small(listed, unit_bytes=_UNIT_BYTES, unit_objects=_UNIT_OBJECTS)


class _PileDoFn(StoreDoFn):
    """A DoFn that leaves a rejection where it is that breaks its schema, and goes on with the others."""

    def __init__(self, lake: MinIO) -> None:
        super().__init__(lake)
        self._counters = Counters("replay")
        self._broken = 0

    def _read(self, read: Callable[[bytes, str], T], line: bytes, place: str) -> T | None:
        try:
            return read(line, place)
        except BrokenRejectionError as error:
            self._counters.add(BROKEN)
            self._broken += 1
            if self._broken <= _NAMED:
                _logger.warning("%s", error)
            return None


class _IndexPile(_PileDoFn):
    """A read unit to notes by id: where a rejection stands, or that it is closed."""

    def __init__(self, lake: MinIO, prefix: str, selection: Selection) -> None:
        super().__init__(lake)
        self._prefix = prefix
        self._selection = selection

    def process(self, unit: ReadUnit) -> Iterator[tuple[str, Any]]:
        for piece, open_chunks in self.bodies(unit):
            for number, line, place in _lines(self._lake, piece, open_chunks):
                if is_resolution(self._prefix, piece.key):
                    yield read_resolution(line, place), _CLOSED
                    continue
                note = self._read(read_summary, line, place)
                if note is None:
                    continue
                if note.replay_of is not None:
                    yield note.replay_of, _CLOSED
                refused = note.rejected_at.isoformat()
                yield (
                    note.id,
                    (refused, self._selection.matches(note), piece.key, piece.etag, piece.size, number),
                )


def _choose_open(notes: tuple[str, Iterable[Any]]) -> Iterator[tuple[_Address, int]]:
    """The newest of those with one id, if it is open and meant.

    A replay that was cut short and done again may leave two; the later knows the newer reason.
    """
    newest: Any = None
    for note in notes[1]:
        if note is _CLOSED:
            return
        newest = note if newest is None else max(newest, note)
    _, is_meant, key, etag, size, number = newest
    if is_meant:
        yield (key, etag, size), number


class _ReadOpen(_PileDoFn):
    """The chosen lines of an object."""

    def process(self, chosen: tuple[_Address, Iterable[int]]) -> Iterator[Rejected]:
        (key, etag, size), numbers = chosen
        wanted = set(numbers)
        ((piece, open_chunks),) = self.bodies(ReadUnit((Slice(key, etag, size),)))
        for number, line, place in _lines(self._lake, piece, open_chunks):
            if number in wanted and (rejected := self._read(read_rejected, line, place)) is not None:
                yield rejected


def _lines(lake: MinIO, piece: Slice, open_chunks: OpenChunks) -> Iterator[tuple[int, bytes, str]]:
    """Number, text and name of each line that is not blank, however long; none is held while the next is read."""
    place = f"{lake.bucket}/{piece.key}"
    number = 0
    try:
        for number, (line, _) in enumerate(lines_of(decompress(open_chunks()), keep_bytes=float("inf")), 1):
            if line.strip():
                yield number, line, f"{place}, line {number},"
    except RejectRecord as fault:
        raise ConfigurationError(
            f"{place} is damaged after line {number}: {fault.message}; nothing was replayed. "
            "Move the object out of the prefix, or restore it"
        ) from fault
