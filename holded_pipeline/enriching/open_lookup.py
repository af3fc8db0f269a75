"""A lookup on a worker: keys of a batch of events, a cache, and rows from the source."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from cachetools import TLRUCache

from holded_pipeline.enriching.lookup_table import TableSource
from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import Event

if TYPE_CHECKING:
    from holded_pipeline.enriching.lookup import Lookup

_MAX_SHOWN = 100  # characters of a key in messages
_NOT_CACHED: Final[Any] = object()
Row = Mapping[str, Any]


class _Rows(Protocol):
    """An open source."""

    loads: int

    def fetch(self, keys: Collection[str]) -> dict[str, dict[str, Any]]: ...
    def close(self) -> None: ...


class OpenLookup:
    """A lookup with its connection and cache. Each worker has its own; not for several threads at once."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._rows: _Rows = lookup.source.open()
        self._counts: Counter[str] = Counter()
        self._columns = lookup.source.columns or ()
        self._cache: TLRUCache[str, dict[str, Any] | None] | None = None
        if isinstance(lookup.source, TableSource):
            self._cache = TLRUCache(lookup.cache_size, self._expiry, timer=time.monotonic)

    def close(self) -> None:
        """Closes the connection."""
        self._rows.close()

    def enrich_batch(self, events: Sequence[Event]) -> list[Row | Exception]:
        """The result for each event, or the rejection of one that is not found.

        Raises:
            TransientError: the server did not answer within the deadline.
            ConfigurationError: a grant, the table, the object or a column is missing, or not what it should be.
        """
        keys: list[str | Exception | None] = [self._key_or_error(event) for event in events]
        rows = self._fetch({key for key in keys if isinstance(key, str)})
        return [key if isinstance(key, Exception) else self._result(key, rows) for key in keys]

    def take_counts(self) -> dict[str, int]:
        """The counts since the last call.

        `found` and `missing` count events; `hits` and `misses` keys that were in the cache or not; `loads` queries,
        or reads of the object.
        """
        counts, self._counts = self._counts, Counter()
        counts["loads"], self._rows.loads = self._rows.loads, 0
        return {name: number for name, number in counts.items() if number}

    def _key_or_error(self, event: Event) -> str | Exception | None:
        try:
            return self._lookup.key_of(event)
        except Exception as error:  # noqa: BLE001  a user's function may raise anything, for this event alone
            return error

    def _expiry(self, _: str, row: dict[str, Any] | None, now: float) -> float:
        return now + (self._lookup.miss_ttl if row is None else self._lookup.ttl)

    def _fetch(self, keys: set[str]) -> Mapping[str, dict[str, Any] | None]:
        if self._cache is None:
            return self._rows.fetch(keys)
        cached = {key: self._cache.get(key, _NOT_CACHED) for key in keys}
        found: dict[str, dict[str, Any] | None] = {key: row for key, row in cached.items() if row is not _NOT_CACHED}
        self._counts["hits"] += len(found)
        misses = keys - set(found)
        if misses:
            self._counts["misses"] += len(misses)
            fetched = self._rows.fetch(misses)
            for key in misses:
                found[key] = self._cache[key] = fetched.get(key)
        return found

    def _result(self, key: str | None, rows: Mapping[str, dict[str, Any] | None]) -> Row | Exception:
        row = None if key is None else rows.get(key)
        self._counts["missing" if row is None else "found"] += 1
        if row is not None:
            if "found" in row:
                raise ConfigurationError(
                    f"the {self._lookup.source} has a column 'found', which is the name of the entry that says whether "
                    "there is a row; omit it from columns="
                )
            return {"found": True, **row}
        if self._lookup.on_missing == "reject":
            what = "the event has no key to look up" if key is None else f"there is no row for {key[:_MAX_SHOWN]!r}"
            return RejectRecord("lookup_missing", f"{what} in the {self._lookup.source}")
        return {"found": False, **(dict.fromkeys(self._columns) if self._lookup.on_missing == "null" else {})}
