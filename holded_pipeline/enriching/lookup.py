"""The enricher `lookup`: adds reference data to events, from a table or an object."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, get_args

import attrs

from holded_pipeline.enriching.lookup_object import ObjectSource
from holded_pipeline.enriching.lookup_table import TableSource
from holded_pipeline.enriching.open_lookup import OpenLookup, Row
from holded_pipeline.enriching.reference_data import FORMATS, Format, ReferenceFormat, format_of, key_text
from holded_pipeline.model.field_paths import EVERY, parse_path, values_at
from holded_pipeline.model.values import Event
from holded_pipeline.postgres.postgres import Postgres, require_postgres
from holded_pipeline.store.minio import MinIO, require_minio

OnMissing = Literal["null", "skip", "reject"]
KeySource = str | Callable[[Event], Any]

_EVENT_FIELDS: Final = ("id", "type", "company_id", "user_id")


def _validate_ttl(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is a number of seconds above 0, got {value!r}")


def _validate_key_source(_: object, __: object, of: Any) -> None:
    if callable(of) or of in _EVENT_FIELDS:
        return
    if not isinstance(of, str) or not of.startswith("/"):
        named = ", ".join(repr(name) for name in _EVENT_FIELDS)
        raise ValueError(
            f"of is {named}, a path into data such as /contact/id, or a function (event) -> key; got {of!r}"
        )
    if EVERY in parse_path(of):
        raise ValueError(f"of is a path to one value, so {of!r} must not have a *")


@attrs.frozen(kw_only=True)
class Lookup:
    """An enricher that looks up one value of each event in a table or an object, and adds the row.

    Make it with `Lookup.table` or `Lookup.object`. It looks up a whole batch of events at once.

    Example:
        >>> company = hp.Lookup.table(db, "companies", key="id", of="company_id", columns=["name"], name="company")
        >>> country = hp.Lookup.object(lake, "reference/countries.csv", key="code", of="/country", name="country")
        >>> step = hp.Enrich(company, country)
    """

    source: TableSource | ObjectSource
    of: KeySource = attrs.field(validator=_validate_key_source)
    name: str
    on_missing: OnMissing = attrs.field(validator=attrs.validators.in_(get_args(OnMissing)))
    ttl: float = attrs.field(validator=_validate_ttl)
    miss_ttl: float = attrs.field(validator=_validate_ttl)
    cache_size: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
    deterministic: bool = attrs.field(default=False, init=False)  # since the reference data change
    version: str = attrs.field(default="1", init=False)  # of the form of the result: `found`, and the columns
    _opened: list[OpenLookup] = attrs.field(factory=list, init=False, repr=False, eq=False)

    @classmethod
    def table(
        cls,
        db: Postgres,
        table: str,
        *,
        key: str,
        of: KeySource,
        columns: Sequence[str] | None = None,
        name: str = "lookup",
        on_missing: OnMissing = "null",
        ttl: float = 300.0,
        miss_ttl: float = 30.0,
        cache_size: int = 10_000,
    ) -> Lookup:
        """A lookup in a table or view of PostgreSQL.

        Args:
            db: the database; its `retry` says how long an outage is retried before the run fails.
            table: its name, `schema.table` where the search path does not lead to it.
            key: a column of unique values: text, varchar, integer or uuid.
            of: which value of the event is looked up: `id`, `type`, `company_id`, `user_id`, a path into data such
                as `/contact/id`, or a function `(event) -> key`. Texts and integers are keys; an event with another
                value there has no key.
            columns: the columns to add; None for all but the key.
            name: the entry of the metadata that holds the result.
            on_missing: what happens with an event whose key is not found: `null` adds null in each of `columns`,
                `skip` adds `found` alone, `reject` rejects the event (reason `lookup_missing`).
            ttl: seconds for which a row stays in the cache.
            miss_ttl: seconds for which the cache knows that a key is missing.
            cache_size: the most keys in the cache; the least recently used is evicted first.

        Raises:
            ValueError: an argument is wrong.
        """
        require_postgres(db, "Lookup.table")
        for argument, name_given in (("table", table), ("key", key)):
            if not isinstance(name_given, str) or not name_given:
                raise ValueError(f"{argument} is a name, got {name_given!r}")
        source = TableSource(db, table, key, _column_names(columns))
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
        object: str,  # noqa: A002  the best name for it
        *,
        of: KeySource,
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
            of: which value of the event is looked up; see `table`.
            key: the column that rows are found by; None for one JSON object.
            columns: the columns to add; None for all but the key.
            format: `csv`, `json` or `jsonl`; by default as the name ends.
            name: the entry of the metadata that holds the result.
            on_missing: what happens with an event whose key is not found; see `table`.
            ttl: seconds until the store is asked whether the object was replaced; only if it was, it is read again.
            max_stale: seconds for which the copy in memory is used while the store does not answer.
            max_bytes: the most bytes of text that the object may have.

        Raises:
            ValueError: an argument is wrong.
        """
        require_minio(lake, "Lookup.object")
        kind = format or format_of(object)
        if kind not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}, got {kind!r}")
        if key is None and kind != "json":
            raise ValueError(f"the rows of a {kind} object need a key column; name it with key=")
        for argument, number in (("max_stale", max_stale), ("max_bytes", max_bytes)):
            if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
                raise ValueError(f"{argument} is a number above 0, got {number!r}")
        reading = ReferenceFormat(kind, key, _column_names(columns))
        source = ObjectSource(lake, object, reading, ttl, max_stale, max_bytes)
        # The rows are in memory, so they need no cache.
        return cls(source=source, of=of, name=name, on_missing=on_missing, ttl=ttl, miss_ttl=ttl, cache_size=1)

    def __enter__(self) -> OpenLookup:
        self._opened.append(OpenLookup(self))
        return self._opened[-1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.pop().close()

    def enrich_batch(self, events: Sequence[Event]) -> list[Row | Exception]:
        """The results for some events; opens and closes the source for this call, whereas `Enrich` keeps it open."""
        with self as opened:
            return opened.enrich_batch(events)

    def key_of(self, event: Event) -> str | None:
        """The key of an event; None if it has none."""
        if callable(self.of):
            return key_text(self.of(event))
        if self.of in _EVENT_FIELDS:
            return key_text(getattr(event, self.of))
        return next((key_text(value) for _, value in values_at(event.data, parse_path(self.of))), None)


def _column_names(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(columns, str) or (columns is not None and not columns):
        raise ValueError(f"columns is a list of names, or None for all, got {columns!r}")
    return None if columns is None else tuple(columns)
