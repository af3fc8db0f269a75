"""Objects that are stored while the thread of the pipeline goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Final

from holded_pipeline.servers.background_call import call_in_background
from holded_pipeline.store.object_buffers import FinishedObject

_MOST_OBJECTS: Final = 4  # at once: a store on the same machine is no quicker with more

Stored = tuple[str, FinishedObject, str]
"""An object that is stored, with its key and its etag."""


class PendingObjects:
    """The objects of a bundle that are on their way to the store.

    Args:
        store: stores a body under a key, whole or not at all, and returns its etag.
        most_bytes: of all that are on their way together, while others are being filled.
    """

    def __init__(self, store: Callable[[str, bytes], str], most_bytes: int) -> None:
        self._store = store
        self._most_bytes = most_bytes
        self._bytes = 0
        self._pending: deque[tuple[str, FinishedObject, Future[str]]] = deque()

    def add(self, key: str, finished: FinishedObject, *, is_last: bool = False) -> Iterator[Stored]:
        """Begins to store an object; yields those that had to be waited for, to have room for it.

        Args:
            key: its key.
            finished: the object. If it alone is too large to be on its way while others are being filled, it is stored
                before this returns.
            is_last: whether nothing is filled any more; then its size does not matter.

        Raises:
            TransientError, ConfigurationError: one of them could not be stored.
        """
        size = len(finished.body)
        while self._pending and (len(self._pending) >= _MOST_OBJECTS or not (is_last or self._has_room(size))):
            yield self._wait_for_oldest()
        self._bytes += size
        store, body = self._store, finished.body
        self._pending.append((key, finished, call_in_background(lambda: store(key, body), "write-minio")))
        if not (is_last or self._has_room(0)):
            yield self._wait_for_oldest()

    def finish(self) -> Iterator[Stored]:
        """Waits for all that are left, and yields them.

        Raises:
            TransientError, ConfigurationError: as `add`.
        """
        while self._pending:
            yield self._wait_for_oldest()

    def wait(self) -> None:
        """Returns when nothing is on its way any more, whatever became of it; for a bundle that failed."""
        wait([future for _, _, future in self._pending])

    def _has_room(self, size: int) -> bool:
        return self._bytes + size <= self._most_bytes

    def _wait_for_oldest(self) -> Stored:
        key, finished, future = self._pending[0]
        etag = future.result()
        self._pending.popleft()
        self._bytes -= len(finished.body)
        return key, finished, etag
