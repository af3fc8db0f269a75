"""What all reading transforms share: a DoFn with an open store, and the bytes of a read unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

import apache_beam as beam

from holded_pipeline.store.client import ObjectError, ObjectStore
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_ahead import ReadAhead, is_streamed
from holded_pipeline.store.read_plan import ReadUnit, Slice

OpenChunks = Callable[[], Iterator[bytes]]


class StoreDoFn(beam.DoFn):
    """A DoFn that opens the store in `setup` and closes it in `teardown`."""

    def __init__(self, lake: MinIO) -> None:
        self._lake = lake

    def setup(self) -> None:
        self._store = ObjectStore(self._lake)
        self._ahead = ReadAhead(self._store)

    def teardown(self) -> None:
        if hasattr(self, "_store"):
            self._store.close()

    def bodies(self, unit: ReadUnit, following: ReadUnit | None = None) -> Iterator[tuple[Slice, OpenChunks]]:
        """Each slice of a unit, with a function that returns its chunks from the start; a large slice is streamed.

        The function raises an `ObjectError` if the object is gone, or the store does not give it out. The beginning of
        the unit that follows is read meanwhile.
        """
        if is_streamed(unit):
            large = unit.slices[0]
            yield large, partial(self._chunks, large, self._ahead.take_first_chunk(unit), following)
            return
        bodies = self._ahead.take_bodies(unit) or self._store.read_many(unit.slices)
        self._ahead.begin(following)
        for small, body in zip(unit.slices, bodies, strict=True):
            yield small, partial(_single_chunk, body)

    def _chunks(self, large: Slice, first: list[Future[bytes]], following: ReadUnit | None) -> Iterator[bytes]:
        begun = first.pop() if first else None  # only once: it would stay in memory
        return self._store.stream(large, first=begun, begin_next=partial(self._ahead.begin, following))


def _single_chunk(body: bytes | ObjectError) -> Iterator[bytes]:
    if isinstance(body, Exception):
        raise body
    yield body
