"""Objects that are stored while the thread of the pipeline goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Final

from holded_pipeline.servers.background_call import call_in_background
from holded_pipeline.store.object_buffers import FinishedObject

_MOST_OBJECTS: Final = 4  # at once: a store on the same machine is no quicker with more

Pending = tuple[str, FinishedObject]
"""An object that is being stored, with its key."""

Stored = tuple[str, FinishedObject, str]
"""An object that is stored, with its key and its etag."""


class PendingObjects:
    """The objects of a bundle that are on their way to the store.

    Args:
        store: stores a body under a key, whole or not at all, and returns its etag.
        most_bytes: of all that are on their way together; a larger one goes alone.
    """

    def __init__(self, store: Callable[[str, bytes], str], most_bytes: int) -> None:
        self._store = store
        self._most_bytes = most_bytes
        self._bytes = 0
        self._pending: deque[tuple[Pending, Future[str]]] = deque()

    def add(self, key: str, finished: FinishedObject) -> Iterator[Stored]:
        """Begins to store an object, when there is room for it; yields those that had to be waited for.

        Raises:
            TransientError, ConfigurationError: one of them could not be stored.
        """
        size = len(finished.body)
        while self._pending and (len(self._pending) >= _MOST_OBJECTS or self._bytes + size > self._most_bytes):
            yield self._wait_for_oldest()
        self._bytes += size
        store, body = self._store, finished.body
        self._pending.append(((key, finished), call_in_background(lambda: store(key, body), "write-minio")))

    def finish(self) -> Iterator[Stored]:
        """Waits for all that are left, and yields them.

        Raises:
            TransientError, ConfigurationError: as `add`.
        """
        while self._pending:
            yield self._wait_for_oldest()

    def _wait_for_oldest(self) -> Stored:
        (key, finished), future = self._pending.popleft()
        etag = future.result()
        self._bytes -= len(finished.body)
        return key, finished, etag
