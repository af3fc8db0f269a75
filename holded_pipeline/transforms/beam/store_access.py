"""What all reading transforms share: a DoFn with an open store, and the bytes of a read unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import apache_beam as beam

from holded_pipeline.store.client import CHUNK_BYTES, ObjectError, ObjectStore
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import ReadUnit, Slice

OpenChunks = Callable[[], Iterator[bytes]]


class StoreDoFn(beam.DoFn):
    """A DoFn that opens the store in `setup` and closes it in `teardown`."""

    def __init__(self, lake: MinIO) -> None:
        self._lake = lake

    def setup(self) -> None:
        self._store = ObjectStore(self._lake)

    def teardown(self) -> None:
        if hasattr(self, "_store"):
            self._store.close()

    def bodies(self, unit: ReadUnit) -> Iterator[tuple[Slice, OpenChunks]]:
        """Each slice of a unit, with a function that returns its chunks from the start; a large slice is streamed.

        The function raises an `ObjectError` if the object is gone, or the store does not give it out.
        """
        if len(unit.slices) == 1 and unit.slices[0].length > CHUNK_BYTES:
            large = unit.slices[0]
            yield large, partial(self._store.stream, large)
            return
        for small, body in zip(unit.slices, self._store.read_many(unit.slices), strict=True):
            yield small, partial(_single_chunk, body)


def _single_chunk(body: bytes | ObjectError) -> Iterator[bytes]:
    if isinstance(body, Exception):
        raise body
    yield body
