"""The beginning of a read unit, which is read while the unit before it is worked on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from holded_pipeline.servers.background_call import call_in_background
from holded_pipeline.store.client import CHUNK_BYTES, ObjectError, ObjectStore
from holded_pipeline.store.read_plan import ReadUnit


def is_streamed(unit: ReadUnit) -> bool:
    """Whether it is one large slice, which is read chunk by chunk; otherwise all of its slices are read at once."""
    return len(unit.slices) == 1 and unit.slices[0].length > CHUNK_BYTES


class ReadAhead:
    """What was begun of a unit before its turn: the first chunk of a large slice, or all of small ones.

    At most a chunk is in memory: slices that have more bytes together are not begun.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._begun: tuple[ReadUnit, Future[Any]] | None = None

    def begin(self, unit: ReadUnit | None) -> None:
        """Begins to read a unit, if it is not begun yet; None for no unit."""
        if unit is None or (self._begun is not None and self._begun[0] == unit):
            return
        read: Callable[[], Any]
        if is_streamed(unit):
            read = partial(self._store.read, unit.slices[0].chunks(CHUNK_BYTES)[0])
        elif unit.bytes <= CHUNK_BYTES:
            read = partial(self._store.read_many, unit.slices)
        else:
            return
        self._begun = unit, call_in_background(read, "read-minio")

    def take_first_chunk(self, unit: ReadUnit) -> list[Future[bytes]]:
        """The first chunk of a streamed unit, if it was begun. Whatever else was begun is forgotten."""
        begun = self._take(unit)
        return [] if begun is None else [begun]

    def take_bodies(self, unit: ReadUnit) -> list[bytes | ObjectError] | None:
        """What `ObjectStore.read_many` gives for a unit of small slices, if it was begun. Forgets as above.

        Raises:
            TransientError, ConfigurationError: as `ObjectStore.read_many`.
        """
        begun = self._take(unit)
        return None if begun is None else begun.result()

    def _take(self, unit: ReadUnit) -> Future[Any] | None:
        begun, self._begun = self._begun, None
        return begun[1] if begun is not None and begun[0] == unit else None
