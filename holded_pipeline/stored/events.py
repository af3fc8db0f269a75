"""events: the events of a store, to iterate outside a pipeline."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from typing import Literal

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.timestamp_rules import Timestamps
from holded_pipeline.model.values import Event, Source
from holded_pipeline.plugins.registry import PluginRegistry, default_registry
from holded_pipeline.reading.envelopes import Envelope
from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.framing import frame
from holded_pipeline.reading.framing_under_path import frame_under_path
from holded_pipeline.reading.key_patterns import glob_prefix, glob_regex
from holded_pipeline.reading.layout import Layout
from holded_pipeline.reading.records import RecordReader
from holded_pipeline.reading.records_path import RecordsPath
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.compression import checked_text, without_compression_ending
from holded_pipeline.store.listed_pattern import normalize_pattern
from holded_pipeline.store.manifest_objects import manifest_objects
from holded_pipeline.store.minio import MinIO, require_minio
from holded_pipeline.store.near_keys import describe_near_keys
from holded_pipeline.store.object_names import is_manifest
from holded_pipeline.store.read_plan import Slice, StoredObject
from holded_pipeline.stored.columns import COLUMNS_OF_EVENTS
from holded_pipeline.stored.objects import OpenChunks, open_store, read_objects
from holded_pipeline.stored.tables import StoredValues

_logger = logging.getLogger("holded_pipeline")
_LOGGED = 20  # records that are skipped and named in the log; all are counted


def events(
    lake: MinIO,
    pattern: str,
    *,
    envelope: str | Envelope = "event",
    layout: Layout | None = None,
    records: str | None = None,
    on_invalid: Literal["fail", "skip"] = "fail",
    max_record_bytes: int = 16 << 20,
    max_depth: int = 100,
    timestamps: Timestamps | None = None,
    manifest: bool = False,
    registry: PluginRegistry | None = None,
) -> StoredEvents:
    """The events under a prefix, to iterate in a notebook or a script; no pipeline runs.

    Args:
        lake: the store and its bucket.
        pattern: a key prefix or a glob, as for `ReadMinIO`.
        envelope: as for `ReadMinIO`, but by default `event`, which is what `WriteMinIO` writes.
        layout: as for `ReadMinIO`.
        records: where the records are inside each document, as for `ReadMinIO`.
        on_invalid: what happens at a record that `ReadMinIO` would reject: `fail` raises, `skip` logs it and goes on.
        max_record_bytes: as for `ReadMinIO`.
        max_depth: as for `ReadMinIO`.
        timestamps: as for `ReadMinIO`.
        manifest: whether only the objects are read that a manifest names: those of runs that `SettleObjects` settled.
        registry: where names of envelopes are looked up; by default the installed plugins'.

    Returns:
        The events, as an iterable with `to_pandas()`. Nothing is read before it is iterated.

    Example:
        >>> found = hp.events(lake, "raw/", envelope="holded", on_invalid="skip")
        >>> len({event.id for event in found})
        50

    Raises:
        ValueError: an argument is wrong, or no envelope has that name.
        RejectRecord: (iterating) a record is not an event; its message names object and line.
        ConfigurationError: (iterating) the bucket, the keys or the endpoint are wrong.
        TransientError: (iterating) the store did not answer within `lake.retry`.

    **Guarantees:** each record of each object that is listed comes once, in the order of keys and lines. A few objects
    are in memory at a time.
    """
    require_minio(lake, "events")
    if on_invalid not in ("fail", "skip"):
        raise ValueError(f'on_invalid must be "fail" or "skip", got {on_invalid!r}')
    if layout not in (None, "lines", "values"):
        raise ValueError(f'layout must be "lines", "values" or None, got {layout!r}')
    path = None if records is None else RecordsPath.parse(records)
    reader = RecordReader(
        (registry or default_registry()).envelope(envelope),
        max_record_bytes=max_record_bytes,
        max_depth=max_depth,
        timestamps=timestamps,
        records=path,
    )
    framing = partial(_frame_object, layout=layout, path=path, with_outer=reader.takes_outer)
    skips = on_invalid == "skip"
    return StoredEvents(lake, normalize_pattern(pattern), reader, framing, skips=skips, manifest=manifest)


Framing = Callable[[Iterator[bytes], OpenChunks, str], Iterator[Record]]
"""Frames the records of an object: its text, what reads it again, and its key."""


class StoredEvents(StoredValues[Event]):
    """The events under a prefix; see `events`."""

    _columns = COLUMNS_OF_EVENTS

    def __init__(
        self, lake: MinIO, pattern: str, reader: RecordReader, framing: Framing, *, skips: bool, manifest: bool
    ) -> None:
        self._lake = lake
        self._pattern = pattern
        self._reader = reader
        self._frame_object = framing
        self._skips = skips
        self._manifest = manifest

    def __iter__(self) -> Iterator[Event]:
        """Reads the events from the store."""
        reader = self._reader.at(datetime.now(UTC))
        skipped = 0
        with open_store(self._lake) as store:
            for whole, open_chunks in read_objects(store, self._listed(store)):
                for event in self._read_object(reader, whole, open_chunks):
                    if isinstance(event, Event):
                        yield event
                        continue
                    if not self._skips:
                        raise event
                    skipped += 1
                    if skipped <= _LOGGED:
                        _logger.warning("skipped, since it is not an event: %s", event.message)
        if skipped:
            _logger.warning("%d records under %r were skipped", skipped, self._pattern)

    def _listed(self, store: ObjectStore) -> Iterator[StoredObject]:
        matches = re.compile(glob_regex(self._pattern)).match
        prefix = glob_prefix(self._pattern)
        listed = manifest_objects(store, self._lake.bucket, prefix) if self._manifest else store.objects(prefix)
        found = 0
        for each in listed:
            if matches(each.key) and not is_manifest(each.key):
                found += 1
                yield each
        if not found:
            near = describe_near_keys(store, self._lake.bucket, prefix)
            _logger.warning("no object of %s matches %r; %s", self._lake.bucket, self._pattern, near)

    def _read_object(
        self, reader: RecordReader, whole: Slice, open_chunks: OpenChunks
    ) -> Iterator[Event | RejectRecord]:
        first = Source(self._lake.bucket, whole.key, whole.etag, 1)
        try:
            text = checked_text(open_chunks)
        except RejectRecord as fault:
            yield _at(first, fault)
            return
        for record in self._frame_object(text, open_chunks, without_compression_ending(whole.key)):
            source = Source(self._lake.bucket, whole.key, whole.etag, record.line, record.item)
            try:
                yield reader.read(record, source)
            except RejectRecord as fault:
                yield _at(source, fault, reader.advise(fault, record))

    def _place(self) -> str:
        return f"{self._lake.bucket}/{self._pattern}"


def _frame_object(
    text: Iterator[bytes],
    open_chunks: OpenChunks,
    key: str,
    *,
    layout: Layout | None,
    path: RecordsPath | None,
    with_outer: bool,
) -> Iterator[Record]:
    if path is None:
        return frame(text, key=key, layout=layout)
    texts = chain([text], (checked_text(open_chunks) for _ in count()))
    return frame_under_path(partial(next, texts), path, key=key, layout=layout, with_outer=with_outer)


def _at(source: Source, fault: RejectRecord, advice: str = "") -> RejectRecord:
    return RejectRecord(fault.reason, f"{source}: {fault.message}{advice}", fault.violations)
