"""rejected: the rejections of a dead-letter store, to iterate outside a pipeline."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Literal

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import Rejected
from holded_pipeline.reading.framing import lines_of
from holded_pipeline.rejected.dead_letter_store import (
    BrokenRejectionError,
    is_resolution,
    read_rejected,
    read_resolution,
    read_summary,
    store_prefix,
)
from holded_pipeline.rejected.selection import Selection
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.compression import decompress
from holded_pipeline.store.minio import MinIO, require_minio
from holded_pipeline.store.near_keys import describe_near_keys
from holded_pipeline.store.object_names import validate_prefix
from holded_pipeline.stored.columns import COLUMNS_OF_REJECTIONS
from holded_pipeline.stored.objects import open_store, read_objects
from holded_pipeline.stored.tables import StoredValues

_logger = logging.getLogger("holded_pipeline")
_Position = tuple[str, int]  # key and line


def rejected(
    lake: MinIO,
    prefix: str = "rejected/",
    *,
    stage: str | Collection[str] | None = None,
    reason: str | Collection[str] | None = None,
    subject: str | Collection[str] | None = None,
    event_type: str | Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    which: Literal["open", "all"] = "open",
) -> StoredRejections:
    """The rejections of a dead-letter store, to iterate in a notebook or a script; no pipeline runs.

    Args:
        lake: the store and its bucket.
        prefix: what `WriteRejected` was given.
        stage: only those rejected at this stage; a text or a collection of texts, as the next three.
        reason: only those with this code.
        subject: only those checked against a schema of this subject.
        event_type: only those that became an event of this type.
        since: only those rejected at this time (aware) or later.
        until: only those rejected before this time (aware).
        which: `open`, those that `ReadRejected` would read: no later rejection replays them, and they are not settled;
            or `all` that were ever written.

    Returns:
        The rejections, as an iterable with `to_pandas()`. Nothing is read before it is iterated.

    Example:
        >>> broken = hp.rejected(lake, "rejected/", stage="read", reason="invalid_json")
        >>> sorted(each.message for each in broken)
        []

    Raises:
        ValueError: an argument is wrong.
        ConfigurationError: (iterating) the bucket, the keys or the endpoint are wrong, or a line below the prefix is
            not a rejection.
        TransientError: (iterating) the store did not answer within `lake.retry`.

    **Guarantees:** each rejection that matches comes once, in the order of keys and lines. A rejection that breaks its
    schema is named in the log, and the others come. With `open` the store is read twice, and the ids of all rejections
    are in memory.
    """
    require_minio(lake, "rejected")
    if which not in ("open", "all"):
        raise ValueError(f'which must be "open" or "all", got {which!r}')
    selection = Selection(stage, reason, subject, event_type, since, until)
    return StoredRejections(lake, validate_prefix(prefix), selection, only_open=which == "open")


class StoredRejections(StoredValues[Rejected]):
    """The rejections of a dead-letter store; see `rejected`."""

    _columns = COLUMNS_OF_REJECTIONS

    def __init__(self, lake: MinIO, prefix: str, selection: Selection, *, only_open: bool) -> None:
        self._lake = lake
        self._prefix = prefix
        self._selection = selection
        self._only_open = only_open

    def __iter__(self) -> Iterator[Rejected]:
        """Reads the rejections from the store."""
        with open_store(self._lake) as store:
            self._warn_if_empty(store)
            positions = self._open_positions(store) if self._only_open else None
            for position, line, name in self._lines(store):
                if is_resolution(self._prefix, position[0]) or (positions is not None and position not in positions):
                    continue
                try:
                    if positions is not None or self._selection.matches(read_summary(line, name)):
                        yield read_rejected(line, name)
                except BrokenRejectionError as error:
                    _logger.warning("%s", error)

    def _place(self) -> str:
        return f"{self._lake.bucket}/{self._prefix}"

    def _warn_if_empty(self, store: ObjectStore) -> None:
        prefix = store_prefix(self._prefix)
        if next(iter(store.objects(prefix)), None) is None:
            near = describe_near_keys(store, self._lake.bucket, prefix)
            _logger.warning("no object of %s is below %r; %s", self._lake.bucket, prefix, near)

    def _open_positions(self, store: ObjectStore) -> set[_Position]:
        """Where the open rejections that match are; of several with one id, the newest."""
        newest: dict[str, tuple[datetime, bool, _Position]] = {}
        closed: set[str] = set()
        for position, line, name in self._lines(store):
            if is_resolution(self._prefix, position[0]):
                closed.add(read_resolution(line, name))
                continue
            try:
                summary = read_summary(line, name)
            except BrokenRejectionError as error:
                _logger.warning("%s", error)
                continue
            if summary.replay_of is not None:
                closed.add(summary.replay_of)
            found = (summary.rejected_at, self._selection.matches(summary), position)
            newest[summary.id] = max(found, newest.get(summary.id, found))
        return {position for id_, (_, matches, position) in newest.items() if matches and id_ not in closed}

    def _lines(self, store: ObjectStore) -> Iterator[tuple[_Position, bytes, str]]:
        """Each line that is not blank, with its position and what messages call it."""
        prefix = store_prefix(self._prefix)
        listed = (each for each in store.objects(prefix) if self._selection.needs_object(prefix, each.key))
        for whole, open_chunks in read_objects(store, listed):
            name = f"{self._lake.bucket}/{whole.key}"
            try:
                for number, (line, _) in enumerate(lines_of(decompress(open_chunks()), keep_bytes=float("inf")), 1):
                    if line.strip():
                        yield (whole.key, number), line, f"{name}, line {number},"
            except RejectRecord as fault:
                raise ConfigurationError(f"{name} is damaged: {fault.message}; restore it, or move it away") from fault
