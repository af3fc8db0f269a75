"""The objects of a store, one after the other, each at the version that was listed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from holded_pipeline.store.client import CHUNK_BYTES, ObjectStore
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import Slice, StoredObject, group_small

OpenChunks = Callable[[], Iterator[bytes]]
_TOGETHER_BYTES = 16 << 20
_TOGETHER_OBJECTS = 200


@contextlib.contextmanager
def open_store(lake: MinIO) -> Iterator[ObjectStore]:
    """An open store, until the block ends."""
    store = ObjectStore(lake)
    try:
        yield store
    finally:
        store.close()


def read_objects(store: ObjectStore, listed: Iterable[StoredObject]) -> Iterator[tuple[Slice, OpenChunks]]:
    """Each object that is not empty, with a function that returns its chunks; small ones are fetched together.

    Raises:
        ObjectVanishedError: an object was deleted or overwritten after it was listed.
        ObjectUnreadableError: the store does not give it out.
    """
    for unit in group_small(listed, unit_bytes=_TOGETHER_BYTES, unit_objects=_TOGETHER_OBJECTS):
        if len(unit.slices) == 1 and unit.slices[0].length > CHUNK_BYTES:
            yield unit.slices[0], partial(store.stream, unit.slices[0])
            continue
        for each, body in zip(unit.slices, store.read_many(unit.slices), strict=True):
            if isinstance(body, Exception):
                raise body
            yield each, partial(iter, [body])
