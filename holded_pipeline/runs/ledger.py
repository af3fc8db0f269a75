"""Ledger: which objects need not be read again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import attrs

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.migrate import migrate
from holded_pipeline.postgres.postgres import Postgres, require_postgres
from holded_pipeline.reading.key_patterns import glob_prefix, glob_regex
from holded_pipeline.runs.settled_objects import PAGE, SettledObject, SettledObjects
from holded_pipeline.servers.argument_types import wrong_argument
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.listed_pattern import normalize_pattern
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import StoredObject


def _as_timedelta(value: timedelta | float) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def _require_positive(_: object, attribute: attrs.Attribute[timedelta], value: timedelta) -> None:
    if value <= timedelta(0):
        raise ValueError(f"{attribute.name} must be more than 0 seconds, got {value.total_seconds()}")


@attrs.frozen
class Ledger:
    """Remembers in PostgreSQL which versions of objects are settled: all that came of them is stored.

    `ReadMinIO(new_only=ledger)` leaves those out, `SettleObjects(ledger)` adds what a run has done. Constructing it
    does no I/O.

    Args:
        db: the database; its tables are created and migrated as needed, see `migrate`.
        name: of the ledger. Each pipeline has one of its own: an object that is settled in one is new in another.
        keys_grow: whether later objects have greater keys, as those with a date or a time in front do. Then a run lists
            from a bookmark, below which all is settled and older than `overlap`, and all keys every `list_all_every`.
        list_all_every: seconds, or a timedelta: after it all keys are listed again, which finds late and overwritten
            ones. Only with `keys_grow`.
        overlap: seconds, or a timedelta: how long after others an object with a smaller key may still arrive and be
            found at once. Only with `keys_grow`.
        migrate: whether a run creates and migrates the tables.

    Example:
        >>> ledger = hp.Ledger(db, "orders")
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/", new_only=ledger)
        ...     loaded = raw.passed | hp.WritePostgres(db)
        ...     written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        ...     settled = (loaded, written) | hp.SettleObjects(ledger)

    Raises:
        ValueError: the name is empty, or a time is not more than 0.

    **Guarantees:** an object with another etag is another version, which is new. An entry is made only when all that
    came of the object is durable. Each object that is not settled is found, at the latest after `list_all_every`.
    """

    db: Postgres = attrs.field(validator=lambda _, __, db: require_postgres(db, "Ledger"))
    name: str = attrs.field(validator=attrs.validators.min_len(1))
    keys_grow: bool = attrs.field(default=False, kw_only=True)
    list_all_every: timedelta = attrs.field(
        default=timedelta(hours=1), kw_only=True, converter=_as_timedelta, validator=_require_positive
    )
    overlap: timedelta = attrs.field(
        default=timedelta(hours=1), kw_only=True, converter=_as_timedelta, validator=_require_positive
    )
    migrate: bool = attrs.field(default=True, kw_only=True)

    def create_tables(self) -> None:
        """Creates and migrates the tables, unless the ledger leaves that to others."""
        if self.migrate:
            migrate(self.db)

    def settled(self, lake: MinIO, pattern: str = "") -> Iterator[SettledObject]:
        """The entries of keys that match a prefix or glob, in the order of keys.

        Raises:
            TransientError: the database did not answer within its `retry`.
            ConfigurationError: the tables or a grant are missing.
        """
        entries = SettledObjects(self.db, self.name, lake.bucket)
        try:
            yield from self._matching(entries, pattern)
        finally:
            entries.close()

    def forget(self, lake: MinIO, pattern: str) -> int:
        """Deletes the entries of keys that match a prefix or glob, so that their objects are read again.

        Returns:
            How many entries.

        Raises:
            TransientError: the database did not answer within its `retry`.
            ConfigurationError: the tables or a grant are missing.
        """
        return self._delete(lake, lambda entries: self._matching(entries, pattern))

    def prune(self, lake: MinIO, pattern: str = "", *, older_than: timedelta = timedelta(days=1)) -> int:
        """Deletes the entries of versions that are no longer in the store, and that were settled long enough ago.

        Args:
            lake: the store and its bucket.
            pattern: a prefix or glob; by default all keys.
            older_than: how long ago they were settled, at least.

        Returns:
            How many entries.

        Raises:
            ConfigurationError: nothing at all is listed, so bucket or pattern are probably wrong; the store does not
                list keys in the order of their bytes; the tables or a grant are missing.
            TransientError: the store or the database did not answer within its `retry`.
        """
        before = datetime.now(UTC) - older_than
        store = ObjectStore(lake)
        try:
            prefix = glob_prefix(normalize_pattern(pattern))
            _require_order(store.objects(prefix))  # of all, before anything is deleted
            objects = store.objects(prefix)
            first = next(objects, None)
            if first is None:
                raise ConfigurationError(
                    f"nothing is listed in {lake.bucket} for {pattern!r}, so nothing is pruned; check bucket and "
                    "pattern, or use forget() if all of it is gone"
                )
            listed = _Merged(first, objects)
            return self._delete(
                lake,
                lambda entries: (
                    entry
                    for entry in self._matching(entries, pattern)
                    if not listed.has(entry) and entry.settled_at < before
                ),
            )
        finally:
            store.close()

    def _matching(self, entries: SettledObjects, pattern: str) -> Iterator[SettledObject]:
        normalized = normalize_pattern(pattern)
        matches = re.compile(glob_regex(normalized)).match
        return (each for each in entries.entries(glob_prefix(normalized)) if matches(each.key))

    def _delete(self, lake: MinIO, choose: Callable[[SettledObjects], Iterator[SettledObject]]) -> int:
        reader = SettledObjects(self.db, self.name, lake.bucket)
        writer = SettledObjects(self.db, self.name, lake.bucket)
        deleted = 0
        try:
            chosen = choose(reader)
            while page := list(islice(chosen, PAGE)):
                deleted += writer.delete(page)
        finally:
            reader.close()
            writer.close()
        return deleted


def _require_order(objects: Iterator[StoredObject]) -> None:
    before = ""
    for stored in objects:
        if stored.key <= before:
            raise ConfigurationError(
                f"the store lists {stored.key!r} after {before!r}, and not in the order of their bytes as S3 does, so "
                "nothing is pruned: entries cannot be compared with it; prune a prefix without folders in it"
            )
        before = stored.key


class _Merged:
    """A listing that is gone through beside the entries of a ledger, both in the order of keys."""

    def __init__(self, first: StoredObject, others: Iterator[StoredObject]) -> None:
        self._current: StoredObject | None = first
        self._others = others

    def has(self, entry: SettledObject) -> bool:
        """Whether the version of an entry is listed; entries are asked for in their order."""
        while self._current is not None and self._current.key < entry.key:
            self._current = next(self._others, None)
        current = self._current
        return current is not None and (current.key, current.etag) == (entry.key, entry.etag)


def require_ledger(given: Any, whose: str) -> None:
    """Checks that an argument is a `Ledger`, where the argument is written.

    Raises:
        TypeError: it is not; the message says how to make one.
    """
    if not isinstance(given, Ledger):
        raise wrong_argument(whose, "an hp.Ledger", given, 'hp.Ledger(db, "a name for this pipeline")')
