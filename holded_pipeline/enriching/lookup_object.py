"""Rows of a reference object in the store, held in memory and read again when the object was replaced."""

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

_NO_RETRY = Retry(deadline=0.001)  # one attempt, while there is a copy in memory that can be used
_READ_ATTEMPTS = 3  # of an object that is replaced while it is read
_logger = logging.getLogger("holded_pipeline")


@attrs.frozen
class ObjectSource:
    """The object where rows are looked up; see `Lookup.object`."""

    lake: MinIO
    object: str
    reading: ReferenceFormat
    ttl: float
    max_stale: float
    max_bytes: int

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns to add; None for all but the key."""
        return self.reading.columns

    def open(self) -> ObjectRows:
        """The rows, which are read at the first fetch."""
        return ObjectRows(self)

    def __str__(self) -> str:
        return f"object {self.lake.bucket}/{self.object} of {self.lake}"


@attrs.frozen
class _Copy:
    """The rows that were read.

    Attributes:
        etag: of the object.
        rows: by key.
        confirmed: when the store last confirmed that the object has this etag.
        expires: when the store must be asked again.
    """

    etag: str
    rows: dict[str, dict[str, Any]]
    confirmed: float
    expires: float


class ObjectRows:
    """An open object. Not for several threads at once.

    Args:
        source: the object.
        clock: returns seconds, monotonic.
    """

    def __init__(self, source: ObjectSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._stores: dict[Retry, ObjectStore] = {}
        self._copy: _Copy | None = None
        self.loads = 0

    def close(self) -> None:
        """Closes the connections."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()

    def fetch(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """The rows of these keys; keys that the object lacks are omitted.

        Raises:
            TransientError: the store did not answer within the deadline, and there is no copy that is fresh enough.
            ConfigurationError: there is no such object, or it is not what it should be.
        """
        copy = self._copy
        if copy is None or copy.expires <= self._clock():
            copy = self._copy = self._refresh(copy)
        return {key: copy.rows[key] for key in keys if key in copy.rows}

    def _refresh(self, stale: _Copy | None) -> _Copy:
        now = self._clock()
        is_usable = stale is not None and now - stale.confirmed < self._source.max_stale
        try:
            etag, rows = self._read(self._store(_NO_RETRY if is_usable else self._source.lake.retry), stale)
        except TransientError:
            if stale is None or not is_usable:
                raise
            _logger.warning("the %s does not answer, so the copy in memory is used", self._source)
            return attrs.evolve(stale, expires=now + min(self._source.ttl, self._source.max_stale))
        return _Copy(etag, rows, now, now + self._source.ttl)

    def _store(self, retry: Retry) -> ObjectStore:
        if retry not in self._stores:
            self._stores[retry] = ObjectStore(attrs.evolve(self._source.lake, retry=retry))
        return self._stores[retry]

    def _read(self, store: ObjectStore, stale: _Copy | None) -> tuple[str, dict[str, dict[str, Any]]]:
        for _ in range(_READ_ATTEMPTS):
            found = self._find(store)
            if stale is not None and found.etag == stale.etag:
                return stale.etag, stale.rows
            try:
                text = self._read_text(store, found)
            except ObjectVanishedError:
                continue  # replaced between the listing and the reading
            self.loads += 1
            return found.etag, self._parse_rows(text)
        raise ConfigurationError(f"the {self._source} is replaced faster than it can be read; replace it less often")

    def _find(self, store: ObjectStore) -> StoredObject:
        key = self._source.object
        first = next(store.objects(key), None)  # of all keys with this prefix, the key itself comes first
        if first is None or first.key != key:
            raise ConfigurationError(f"there is no {self._source}; upload it, or check its key")
        return first

    def _read_text(self, store: ObjectStore, found: StoredObject) -> bytes:
        most, chunks, size = self._source.max_bytes, [], 0
        try:
            for chunk in decompress(store.stream(Slice(found.key, found.etag, found.size))):
                size += len(chunk)
                if size > most:
                    raise ConfigurationError(
                        f"the {self._source} has more than {most:,} bytes, and every worker holds it in memory; "
                        "look up a table instead, or raise max_bytes"
                    )
                chunks.append(chunk)
        except RejectRecord as fault:
            raise ConfigurationError(f"the {self._source} is damaged: {fault.message}") from fault
        return b"".join(chunks)

    def _parse_rows(self, text: bytes) -> dict[str, dict[str, Any]]:
        try:
            return self._source.reading.rows(text)
        except ConfigurationError as fault:
            raise ConfigurationError(f"the {self._source} cannot be used for lookups: {fault}") from fault
