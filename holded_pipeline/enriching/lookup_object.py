"""Rows of a reference object in the store, held in memory and read anew when the object was replaced."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Any

import attrs

from holded_pipeline.enriching.reference_data import ReferenceFormat
from holded_pipeline.model.errors import ConfigurationError, ObjectVanishedError, RejectRecord, TransientError
from holded_pipeline.servers.retry import Retry
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.compression import decompress
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import Slice, StoredObject

_AT_ONCE = Retry(deadline=0.001)  # one attempt: with a copy at hand nothing has to wait
_TRIES = 3  # of an object that is replaced while it is read
_logger = logging.getLogger("holded_pipeline")


@attrs.frozen
class ObjectSource:
    """Where rows are looked up; see `Lookup.object`."""

    lake: MinIO
    object: str
    reading: ReferenceFormat
    ttl: float
    max_stale: float
    max_bytes: int

    def open(self) -> ObjectRows:
        """Reads when it is first asked."""
        return ObjectRows(self)

    def __str__(self) -> str:
        return f"object {self.lake.bucket}/{self.object} of {self.lake}"


@attrs.frozen
class _Copy:
    """What was read, when the store last said that it is right, and until when it is taken for that."""

    etag: str
    rows: dict[str, dict[str, Any]]
    known: float
    until: float


class ObjectRows:
    """An open object. Not for sharing between threads.

    Args:
        source: where it is.
        clock: gives seconds, from whatever beginning.
    """

    def __init__(self, source: ObjectSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._stores: dict[Retry, ObjectStore] = {}
        self._copy: _Copy | None = None
        self.loads = 0

    def close(self) -> None:
        """Gives the connections back."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()

    def fetch(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """The rows of these keys; one that the object lacks is left out.

        Raises:
            TransientError: the store did not answer within the deadline, and no copy at hand is fresh enough.
            ConfigurationError: there is no such object, or it is not what it should be.
        """
        copy = self._copy
        if copy is None or copy.until <= self._clock():
            copy = self._copy = self._renewed(copy)
        return {key: copy.rows[key] for key in keys if key in copy.rows}

    def _renewed(self, stale: _Copy | None) -> _Copy:
        now = self._clock()
        at_hand = stale is not None and now - stale.known < self._source.max_stale
        try:
            etag, rows = self._read(self._store(_AT_ONCE if at_hand else self._source.lake.retry), stale)
        except TransientError:
            if stale is None or not at_hand:
                raise
            _logger.warning("the %s cannot be asked for; the copy at hand serves on", self._source)
            return attrs.evolve(stale, until=now + min(self._source.ttl, self._source.max_stale))
        return _Copy(etag, rows, now, now + self._source.ttl)

    def _store(self, retry: Retry) -> ObjectStore:
        if retry not in self._stores:
            self._stores[retry] = ObjectStore(attrs.evolve(self._source.lake, retry=retry))
        return self._stores[retry]

    def _read(self, store: ObjectStore, stale: _Copy | None) -> tuple[str, dict[str, dict[str, Any]]]:
        for _ in range(_TRIES):
            found = self._found(store)
            if stale is not None and found.etag == stale.etag:
                return stale.etag, stale.rows
            try:
                text = self._text(store, found)
            except ObjectVanishedError:
                continue  # replaced between the listing and the reading
            self.loads += 1
            return found.etag, self._rows(text)
        raise ConfigurationError(f"the {self._source} is replaced faster than it can be read")

    def _found(self, store: ObjectStore) -> StoredObject:
        key = self._source.object
        first = next(store.objects(key), None)  # of all keys that begin so, the key itself comes first
        if first is None or first.key != key:
            raise ConfigurationError(f"there is no {self._source}; upload it, or check its key")
        return first

    def _text(self, store: ObjectStore, found: StoredObject) -> bytes:
        most, pieces, held = self._source.max_bytes, [], 0
        try:
            for piece in decompress(store.stream(Slice(found.key, found.etag, found.size))):
                held += len(piece)
                if held > most:
                    raise ConfigurationError(
                        f"the {self._source} has more than {most:,} bytes, and every worker holds it in memory; "
                        "look up a table instead, or raise max_bytes"
                    )
                pieces.append(piece)
        except RejectRecord as fault:
            raise ConfigurationError(f"the {self._source} is damaged: {fault.message}") from fault
        return b"".join(pieces)

    def _rows(self, text: bytes) -> dict[str, dict[str, Any]]:
        try:
            return self._source.reading.rows(text)
        except ConfigurationError as fault:
            raise ConfigurationError(f"the {self._source} cannot be used for lookups: {fault}") from fault
