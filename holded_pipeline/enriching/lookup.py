"""The enricher `lookup`: what a table or an object of reference data says about an event."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Protocol, get_args

import attrs
from cachetools import TLRUCache

from holded_pipeline.enriching.lookup_object import ObjectSource
from holded_pipeline.enriching.lookup_table import TableSource
from holded_pipeline.enriching.reference_data import FORMATS, Format, ReferenceFormat, format_of, key_text
from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.field_paths import EVERY, parse_path, values_at
from holded_pipeline.model.values import Event
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.store.minio import MinIO

OnMissing = Literal["null", "skip", "reject"]
Of = str | Callable[[Event], Any]

_OF_EVENT: Final = ("id", "type", "company_id", "user_id")
_SHOWN = 100
_UNKNOWN: Final[Any] = object()
Row = Mapping[str, Any]


class _Rows(Protocol):
    """An open source."""

    loads: int

    def fetch(self, keys: Collection[str]) -> dict[str, dict[str, Any]]: ...
    def close(self) -> None: ...


def _seconds(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is a number of seconds above 0, got {value!r}")


def _of(_: object, __: object, of: Any) -> None:
    if callable(of) or of in _OF_EVENT:
        return
    if not isinstance(of, str) or not of.startswith("/"):
        named = ", ".join(repr(name) for name in _OF_EVENT)
        raise ValueError(f"of is {named}, a path into data such as /contact/id, or a function (event) -> key; {of!r}")
    if EVERY in parse_path(of):
        raise ValueError(f"of leads to one value, so {of!r} must not have a *")


@attrs.frozen(kw_only=True)
class Lookup:
    """An enricher that adds what a table or an object says about one value of each event.

    Make it with `Lookup.table` or `Lookup.object`. It asks for a whole batch of events at once.
    """

    source: TableSource | ObjectSource
    of: Of = attrs.field(validator=_of)
    name: str
    on_missing: OnMissing = attrs.field(validator=attrs.validators.in_(get_args(OnMissing)))
    ttl: float = attrs.field(validator=_seconds)
    miss_ttl: float = attrs.field(validator=_seconds)
    cache_size: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
    deterministic: bool = attrs.field(default=False, init=False)  # the reference data change
    version: str = attrs.field(default="1", init=False)  # of what is added: `found`, and the columns
    _opened: list[OpenLookup] = attrs.field(factory=list, init=False, repr=False, eq=False)

    @classmethod
    def table(
        cls,
        db: Postgres,
        table: str,
        *,
        key: str,
        of: Of,
        columns: Sequence[str] | None = None,
        name: str = "lookup",
        on_missing: OnMissing = "null",
        ttl: float = 300.0,
        miss_ttl: float = 30.0,
        cache_size: int = 10_000,
    ) -> Lookup:
        """A lookup in a table or view of PostgreSQL.

        Args:
            db: the database; its `retry` says how long an outage is waited out before the run fails.
            table: its name, `schema.table` where the search path does not lead to it.
            key: a column of unique values: text, varchar, integer or uuid.
            of: what of the event is looked up: `id`, `type`, `company_id`, `user_id`, a path into data such as
                `/contact/id`, or a function `(event) -> key`. Texts and integers are keys; an event with anything
                else there has none.
            columns: the columns to add; None for all but the key.
            name: where the result stands in the metadata.
            on_missing: what an event gets that is not found: `null` in each of `columns`, `skip` for `found` alone,
                or `reject` (reason `lookup_missing`).
            ttl: seconds for which a row is taken from the cache.
            miss_ttl: seconds for which a key is remembered to be missing.
            cache_size: keys remembered at most; the one that was not needed for longest goes first.

        Raises:
            ValueError: an argument is wrong.
        """
        for argument, name_given in (("table", table), ("key", key)):
            if not isinstance(name_given, str) or not name_given:
                raise ValueError(f"{argument} is a name, got {name_given!r}")
        source = TableSource(db, table, key, _names(columns))
        return cls(
            source=source,
            of=of,
            name=name,
            on_missing=on_missing,
            ttl=ttl,
            miss_ttl=miss_ttl,
            cache_size=cache_size,
        )

    @classmethod
    def object(
        cls,
        lake: MinIO,
        object: str,  # noqa: A002  it is one
        *,
        of: Of,
        key: str | None = None,
        columns: Sequence[str] | None = None,
        format: Format | None = None,  # noqa: A002  as above
        name: str = "lookup",
        on_missing: OnMissing = "null",
        ttl: float = 300.0,
        max_stale: float = 3_600.0,
        max_bytes: int = 64 << 20,
    ) -> Lookup:
        """A lookup in an object of the store, which every worker holds in memory.

        Args:
            lake: the store.
            object: the object's key: CSV with a header, a JSON array of objects, JSON lines, or one JSON object
                whose names are the keys; plain, gzip or zstd.
            of: what of the event is looked up; see `table`.
            key: the column that rows are found by; None for one JSON object.
            columns: the columns to add; None for all but the key.
            format: `csv`, `json` or `jsonl`; by default what the name says.
            name: where the result stands in the metadata.
            on_missing: what an event gets that is not found; see `table`.
            ttl: seconds until the store is asked whether the object was replaced; only then it is read again.
            max_stale: seconds for which the copy at hand serves on while the store does not answer.
            max_bytes: bytes of text that the object may have.

        Raises:
            ValueError: an argument is wrong.
        """
        kind = format or format_of(object)
        if kind not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}, got {kind!r}")
        if key is None and kind != "json":
            raise ValueError(f"the rows of a {kind} object need a column to be found by; name it with key=")
        for argument, number in (("max_stale", max_stale), ("max_bytes", max_bytes)):
            if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
                raise ValueError(f"{argument} is a number above 0, got {number!r}")
        reading = ReferenceFormat(kind, key, _names(columns))
        source = ObjectSource(lake, object, reading, ttl, max_stale, max_bytes)
        # What is in memory needs no second cache.
        return cls(source=source, of=of, name=name, on_missing=on_missing, ttl=ttl, miss_ttl=ttl, cache_size=1)

    def __enter__(self) -> OpenLookup:
        self._opened.append(OpenLookup(self))
        return self._opened[-1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.pop().close()

    def enrich_batch(self, events: Sequence[Event]) -> list[Row | Exception]:
        """The results for some events, opened for them alone; `Enrich` keeps it open."""
        with self as opened:
            return opened.enrich_batch(events)

    def key_of(self, event: Event) -> str | None:
        """The key that an event is looked up by; None if it has none."""
        if callable(self.of):
            return key_text(self.of(event))
        if self.of in _OF_EVENT:
            return key_text(getattr(event, self.of))
        return next((key_text(value) for _, value in values_at(event.data, parse_path(self.of))), None)


class OpenLookup:
    """A lookup with its connection and cache. One per worker; not for sharing between threads."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._rows: _Rows = lookup.source.open()
        self._counts: Counter[str] = Counter()
        self._columns = _columns_of(lookup.source)
        self._cache: TLRUCache[str, dict[str, Any] | None] | None = None
        if isinstance(lookup.source, TableSource):
            self._cache = TLRUCache(lookup.cache_size, self._expiry, timer=time.monotonic)

    def close(self) -> None:
        """Gives the connection back."""
        self._rows.close()

    def enrich_batch(self, events: Sequence[Event]) -> list[Row | Exception]:
        """The result for each event, or the rejection of one that is not found.

        Raises:
            TransientError: the server did not answer within the deadline.
            ConfigurationError: a grant, the table, the object or a column is missing, or not what it should be.
        """
        keys: list[str | Exception | None] = [self._key_of(event) for event in events]
        rows = self._looked_up({key for key in keys if isinstance(key, str)})
        return [key if isinstance(key, Exception) else self._result(key, rows) for key in keys]

    def take_counts(self) -> dict[str, int]:
        """What was counted since it was last asked.

        `found` and `missing` count events; `hits` and `misses` keys that the cache knew or not; `loads` queries, or
        readings of the object.
        """
        counts, self._counts = self._counts, Counter()
        counts["loads"], self._rows.loads = self._rows.loads, 0
        return {name: number for name, number in counts.items() if number}

    def _key_of(self, event: Event) -> str | Exception | None:
        try:
            return self._lookup.key_of(event)
        except Exception as error:  # noqa: BLE001  the user's own function may raise anything: for this event alone
            return error

    def _expiry(self, _: str, row: dict[str, Any] | None, now: float) -> float:
        return now + (self._lookup.miss_ttl if row is None else self._lookup.ttl)

    def _looked_up(self, keys: set[str]) -> Mapping[str, dict[str, Any] | None]:
        if self._cache is None:
            return self._rows.fetch(keys)
        known = {key: self._cache.get(key, _UNKNOWN) for key in keys}
        found: dict[str, dict[str, Any] | None] = {key: row for key, row in known.items() if row is not _UNKNOWN}
        self._counts["hits"] += len(found)
        unknown = keys - set(found)
        if unknown:
            self._counts["misses"] += len(unknown)
            fetched = self._rows.fetch(unknown)
            for key in unknown:
                found[key] = self._cache[key] = fetched.get(key)
        return found

    def _result(self, key: str | None, rows: Mapping[str, dict[str, Any] | None]) -> Row | Exception:
        row = None if key is None else rows.get(key)
        self._counts["missing" if row is None else "found"] += 1
        if row is not None:
            if "found" in row:
                raise ConfigurationError(
                    f"the {self._lookup.source} has a column 'found', which says whether there is a row; "
                    "leave it out of columns="
                )
            return {"found": True, **row}
        if self._lookup.on_missing == "reject":
            what = "it has no key to be looked up by" if key is None else f"nothing is known of {key[:_SHOWN]!r}"
            return RejectRecord("lookup_missing", f"{what} in the {self._lookup.source}")
        return {"found": False, **(dict.fromkeys(self._columns) if self._lookup.on_missing == "null" else {})}


def _names(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(columns, str) or (columns is not None and not columns):
        raise ValueError(f"columns is a list of names, or None for all, got {columns!r}")
    return None if columns is None else tuple(columns)


def _columns_of(source: TableSource | ObjectSource) -> tuple[str, ...]:
    columns = source.columns if isinstance(source, TableSource) else source.reading.columns
    return columns or ()
