"""From a key pattern to read units: listing the objects, and splitting the large ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, pairwise
from typing import Any, Final, Literal

import apache_beam as beam
import attrs

from holded_pipeline.model.errors import ConfigurationError, ObjectUnreadableError, ObjectVanishedError
from holded_pipeline.model.object_counts import ObjectCount
from holded_pipeline.reading.key_patterns import glob_prefix, glob_regex
from holded_pipeline.reading.layout import SNIFF_BYTES, Layout, sniff_layout
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.new_objects import NewObjects
from holded_pipeline.runs.progress import PLANNED_UNITS
from holded_pipeline.runs.settlement import RunSettlement
from holded_pipeline.store.compression import is_text, without_compression_ending
from holded_pipeline.store.manifest_objects import manifest_objects
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.near_keys import describe_near_keys
from holded_pipeline.store.object_names import is_manifest
from holded_pipeline.store.read_plan import ReadUnit, Slice, StoredObject, group_small, split_lines
from holded_pipeline.transforms.beam.accounted import ReadPrefix
from holded_pipeline.transforms.beam.live_counts import count_live
from holded_pipeline.transforms.beam.store_access import StoreDoFn

_logger = logging.getLogger("holded_pipeline")

OnEmpty = Literal["warn", "fail", "ignore"]
"""What happens if no object matches a pattern."""

EMPTY: Final = "empty"
"""The output of `ListObjects` with an `ObjectCount` for each new object without a byte, for a ledger."""

LARGE: Final = "large"
"""The output of `ListObjects` for objects that may be worth splitting."""


@attrs.frozen
class NewOnly:
    """A ledger whose settled objects are left out, and the run that reads the others.

    Attributes:
        ledger: the ledger.
        run_id: the run.
        prefix: what this step reads.
        others: what other steps of the pipeline read with the ledger: no object may be read by two of them.
    """

    ledger: Ledger
    run_id: str
    prefix: ReadPrefix
    others: tuple[ReadPrefix, ...] = ()

    def require_one_reader(self, objects: Iterable[StoredObject]) -> Iterator[StoredObject]:
        """The same objects.

        Raises:
            ConfigurationError: another step reads one of them, too.
        """
        matches = [(other, re.compile(glob_regex(other.pattern)).match) for other in self.others]
        for stored in objects:
            for other, is_match in matches:
                if is_match(stored.key):
                    raise self.prefix.read_twice(other, f"{stored.key} of {self.prefix.bucket[1]}")
            yield stored


class ListObjects(StoreDoFn):
    """A key pattern to read units; objects above `unit_bytes` go to the output `LARGE`.

    With a ledger, without the objects that are settled in it; with `manifest`, those that manifests name.
    """

    def __init__(
        self,
        lake: MinIO,
        unit_bytes: int,
        unit_objects: int,
        *,
        on_empty: OnEmpty,
        new_only: NewOnly | None = None,
        manifest: bool = False,
    ) -> None:
        super().__init__(lake)
        self._manifest = manifest
        self._new_only = new_only
        self._on_empty = on_empty
        self._unit_bytes = unit_bytes
        self._unit_objects = unit_objects

    def process(self, pattern: str) -> Iterator[Any]:
        large: list[StoredObject] = []
        empty: list[StoredObject] = []
        small = self._small_objects(pattern, large, empty)
        units = group_small(small, unit_bytes=self._unit_bytes, unit_objects=self._unit_objects)
        for unit in units:
            count_live(PLANNED_UNITS)
            yield unit
            while large:
                yield beam.pvalue.TaggedOutput(LARGE, large.pop())
        for stored in large:
            yield beam.pvalue.TaggedOutput(LARGE, stored)
        for stored in empty:
            count = ObjectCount(self._lake.bucket, stored.key, stored.etag, 0)
            yield beam.pvalue.TaggedOutput(EMPTY, count)

    def _small_objects(
        self, pattern: str, large: list[StoredObject], empty: list[StoredObject]
    ) -> Iterator[StoredObject]:
        for stored in self._matching(pattern) if self._new_only is None else self._new(pattern, self._new_only):
            if stored.size > self._unit_bytes:
                large.append(stored)
            elif stored.size:
                yield stored
            elif self._new_only is not None:
                empty.append(stored)

    def _matching(self, pattern: str, start_after: str = "") -> Iterator[StoredObject]:
        matches = re.compile(glob_regex(pattern)).match
        found_any = False
        if self._manifest:
            listed = manifest_objects(self._store, self._lake.bucket, pattern)
        else:
            listed = self._store.objects(glob_prefix(pattern), start_after=start_after)
        for stored in listed:
            if matches(stored.key) and not is_manifest(stored.key):
                found_any = True
                yield stored
        if not found_any and not start_after and self._on_empty != "ignore":
            self._report_empty(pattern)

    def _new(self, pattern: str, new_only: NewOnly) -> Iterator[StoredObject]:
        ledger = new_only.ledger
        ledger.create_tables()
        RunSettlement(ledger.db, ledger.name, new_only.run_id).begin()
        new_objects = NewObjects(ledger, self._lake.bucket, pattern)
        yield from new_only.require_one_reader(new_objects.find(partial(self._matching, pattern)))
        _logger.info(
            "listed %d objects of %s for %r, of which %d are new to the ledger %r",
            new_objects.listed,
            self._lake.bucket,
            pattern,
            new_objects.new,
            ledger.name,
        )

    def _report_empty(self, pattern: str) -> None:
        found = f"is in a manifest below {pattern!r}" if self._manifest else f"matches {pattern!r}"
        near = describe_near_keys(self._store, self._lake.bucket, glob_prefix(pattern))
        message = f"no object of {self._lake.bucket} {found}, so nothing is read{near and f'; {near}'}"
        if self._on_empty == "fail":
            raise ConfigurationError(f'{message}; check the bucket, prefix or pattern, or pass on_empty="warn"')
        _logger.warning("%s; check the bucket, prefix or pattern", message)


class SplitLarge(StoreDoFn):
    """A large object to slices if it is a plain line file, to one unit otherwise."""

    def __init__(self, lake: MinIO, unit_bytes: int, layout: Layout | None = None) -> None:
        super().__init__(lake)
        self._layout = layout
        self._unit_bytes = unit_bytes

    def process(self, stored: StoredObject) -> Iterator[ReadUnit]:
        whole = Slice(stored.key, stored.etag, stored.size)
        try:
            is_split = self._is_plain_lines(stored)
        except (ObjectVanishedError, ObjectUnreadableError):
            is_split = False  # ReadUnits meets it again, and decides
        for unit in self._slices(stored, whole) if is_split else [ReadUnit((whole,))]:
            count_live(PLANNED_UNITS)
            yield unit

    def _is_plain_lines(self, stored: StoredObject) -> bool:
        heads = self._head_chunks(stored)
        first = next(heads)
        key = without_compression_ending(stored.key)
        if self._layout is not None or not is_text(first):
            return self._layout == "lines" and is_text(first)
        return sniff_layout(chain([first], heads), key)[0] == "lines"

    def _head_chunks(self, stored: StoredObject) -> Iterator[bytes]:
        """The object's first bytes, read as they are asked for: most layouts show in the first 64 KiB."""
        for start, end in pairwise((0, *SNIFF_BYTES)):
            if start < stored.size:
                yield self._store.read(Slice(stored.key, stored.etag, stored.size, start, min(end, stored.size)))

    def _slices(self, stored: StoredObject, whole: Slice) -> Iterable[ReadUnit]:
        try:
            # A list, so that an object which vanishes in the middle is not read in half of its slices.
            return list(split_lines(stored, self._store.stream(whole), unit_bytes=self._unit_bytes))
        except (ObjectVanishedError, ObjectUnreadableError):
            return [ReadUnit((whole,))]
