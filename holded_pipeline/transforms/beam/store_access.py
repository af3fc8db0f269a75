"""An open store inside a DoFn, and the bytes of a read unit: what all reading transforms share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import apache_beam as beam

from holded_pipeline.model.errors import ObjectVanishedError
from holded_pipeline.store.client import CHUNK_BYTES, ObjectStore
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import ReadUnit, Slice

OpenChunks = Callable[[], Iterator[bytes]]


class StoreDoFn(beam.DoFn):
    """A DoFn with an open store."""

    def __init__(self, lake: MinIO) -> None:
        self._lake = lake

    def setup(self) -> None:
        self._store = ObjectStore(self._lake)

    def teardown(self) -> None:
        if hasattr(self, "_store"):
            self._store.close()

    def bodies(self, unit: ReadUnit) -> Iterator[tuple[Slice, OpenChunks]]:
        """Each slice of a unit with a function that gives its bytes from the start: a large one is streamed.

        The function raises `ObjectVanishedError` where the object is gone.
        """
        if len(unit.slices) == 1 and unit.slices[0].length > CHUNK_BYTES:
            piece = unit.slices[0]
            yield piece, partial(self._store.stream, piece)
            return
        for piece, body in zip(unit.slices, self._store.read_many(unit.slices), strict=True):
            yield piece, partial(_one, body)


def _one(body: bytes | ObjectVanishedError) -> Iterator[bytes]:
    if isinstance(body, ObjectVanishedError):
        raise body
    yield body
