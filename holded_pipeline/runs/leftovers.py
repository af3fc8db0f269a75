"""leftovers: finds and removes the objects with events that runs have left which failed or died."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice

import attrs
import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.run_database import in_transaction
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.manifest_objects import manifest_objects
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import (
    MANIFESTS,
    RUN_BYTES,
    escape_key_level,
    join_key,
    shorten_with_digest,
    validate_prefix,
)

_PAGE = 1_000
_ATTEMPT = re.compile(r"(?P<run>.+)\.(?P<share>share\d+)\.[0-9a-f]{8}")  # of a share of a run, in place of the run
_NAME = re.compile(r"(?P<run>.+)-[0-9a-f]{24}\.[^/]+")  # as `ObjectNames` makes them
# A run that succeeded without settling belongs to a pipeline without SettleObjects: what it wrote is wanted.
_DEAD_RUNS = """
SELECT run_id FROM pipeline_runs AS run
WHERE state <> 'succeeded' AND coalesce(ended_at, seen_at) < now() - CAST(:older_than AS interval)
    AND settled_at IS NULL
    AND NOT EXISTS (SELECT FROM pipeline_settlements AS settled WHERE settled.run_id = run.run_id)"""

_SETTLED_RUNS = "SELECT DISTINCT run_id FROM pipeline_settlements WHERE has_manifests"


@attrs.frozen
class Leftover:
    """An object of a run that settled nothing, or of an attempt at a share that does not count.

    Attributes:
        key: of the object.
        run_id: the run that wrote it.
        bytes: its size.
        modified: when it was stored; aware.
    """

    key: str
    run_id: str
    bytes: int
    modified: datetime


def leftovers(db: Postgres, lake: MinIO, prefix: str, *, older_than: timedelta = timedelta(days=1)) -> Leftovers:
    """The objects below a prefix that attempts which failed or died have left: no manifest names them.

    Readers with `manifest=True` do not see them. They cost room, and readers without it see their events twice.

    Args:
        db: the database with the records of runs.
        lake: the store and its bucket.
        prefix: what `WriteMinIO` was given.
        older_than: how old an object is, and how long ago its run gave its last sign of life, at least.

    Returns:
        The leftovers, as an iterable with `remove()`. Nothing is listed before it is iterated.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     ingested = p | hp.IngestEvents(lake, db, schemas)
        >>> found = hp.leftovers(db, lake, "enriched/")
        >>> sum(each.bytes for each in found)
        0
        >>> found.remove()
        0

    Raises:
        ValueError: `older_than` is not more than 0, or the prefix is wrong.
        ConfigurationError: (iterating) there is no manifest below the prefix; a table or a grant is missing.
        TransientError: (iterating) the store or the database did not answer within its `retry`.

    **Guarantees:** an object is a leftover only if its name carries the id of a run that is recorded in
    `pipeline_runs`, that failed or died, and that settled nothing; or the id of an attempt at a share of a settled run,
    if its manifest names objects of another attempt at the same share. So objects of runs that still go on, of
    pipelines that do not settle, from before there were manifests, and of other programs are none.
    """
    if older_than <= timedelta(0):
        raise ValueError(f"older_than must be more than 0, got {older_than}")
    return Leftovers(db, lake, join_key(validate_prefix(prefix), "", ""), older_than)


class Leftovers:
    """The leftovers below a prefix; see `leftovers`. Each iteration lists them again."""

    def __init__(self, db: Postgres, lake: MinIO, prefix: str, older_than: timedelta) -> None:
        self._db = db
        self._lake = lake
        self._prefix = f"{prefix}/" if prefix else ""
        self._older_than = older_than

    def __iter__(self) -> Iterator[Leftover]:
        """Lists the leftovers, in the order of keys."""
        store = ObjectStore(self._lake)
        try:
            yield from self._find(store)
        finally:
            store.close()

    def remove(self) -> int:
        """Deletes the leftovers.

        Returns:
            How many.

        Raises:
            ConfigurationError, TransientError: as iterating.
        """
        removed = 0
        store = ObjectStore(self._lake)
        try:
            found = self._find(store)
            while page := list(islice(found, _PAGE)):
                # A run may have been started again with its id meanwhile; one that is settled may not.
                ended = {*self._dead_runs().values(), *self._run_ids(_SETTLED_RUNS).values()}
                keys = [each.key for each in page if each.run_id in ended]
                store.delete_many(keys)
                removed += len(keys)
        finally:
            store.close()
        return removed

    def _find(self, store: ObjectStore) -> Iterator[Leftover]:
        manifests = join_key(self._prefix, MANIFESTS, "") + "/"
        if next(store.objects(manifests), None) is None:
            raise ConfigurationError(
                f"there is no manifest in {self._lake.bucket}/{manifests}, so nothing says which objects are wanted; "
                "give the prefix that WriteMinIO was given, in a pipeline with SettleObjects. If no run of it has "
                "succeeded yet, let one succeed, and ask again"
            )
        dead = self._dead_runs()
        named = {each.key for each in manifest_objects(store, self._lake.bucket, self._prefix)}
        before = datetime.now(UTC) - self._older_than
        owners = _Owners(dead, self._run_ids(_SETTLED_RUNS), named)
        for stored in store.objects(self._prefix):
            run_id = owners.run_of_leftover(stored.key)
            if run_id is None or stored.key in named or stored.modified is None or stored.modified >= before:
                continue
            yield Leftover(stored.key, run_id, stored.size, stored.modified)

    def _dead_runs(self) -> dict[str, str]:
        """The ids of runs that settled nothing and will not any more, by how they are in names."""
        return self._run_ids(_DEAD_RUNS, older_than=self._older_than)

    def _run_ids(self, query: str, **arguments: timedelta) -> dict[str, str]:
        found = in_transaction(self._db, lambda each: each.execute(sa.text(query), arguments).scalars().all())
        return {shorten_with_digest(escape_key_level(run_id), RUN_BYTES): run_id for run_id in found}


class _Owners:
    """Which run has left an object, by its name.

    Args:
        dead: the runs that settled nothing, by how they are in names.
        settled: the runs that are settled.
        named: the keys in manifests.
    """

    def __init__(self, dead: Mapping[str, str], settled: Mapping[str, str], named: Iterable[str]) -> None:
        self._dead = dead
        self._settled = settled
        self._counted: dict[tuple[str, str], set[str]] = {}
        for key in named:
            written_by, attempt = _written_by(key)
            if attempt is not None:
                self._counted.setdefault((attempt["run"], attempt["share"]), set()).add(written_by)

    def run_of_leftover(self, key: str) -> str | None:
        """The id of the run, if the object is a leftover as far as its name and the manifests say."""
        written_by, attempt = _written_by(key)
        if attempt is None:
            return self._dead.get(written_by)
        # Of each share one attempt counts, so where another one is in the manifest, this one is not wanted.
        counted = self._counted.get((attempt["run"], attempt["share"]), {written_by})
        is_replaced = written_by not in counted
        return self._dead.get(attempt["run"]) or (self._settled.get(attempt["run"]) if is_replaced else None)


def _written_by(key: str) -> tuple[str, re.Match[str] | None]:
    """The run in the name of an object, or the attempt, and its parts."""
    name = _NAME.fullmatch(key.rpartition("/")[2])
    return (name["run"], _ATTEMPT.fullmatch(name["run"])) if name else ("", None)
