"""From a prefix or glob to read units: what is listed, what a ledger has settled of it, and where files are cut."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, pairwise
from typing import Final, Literal

import attrs

from holded_pipeline.model.errors import ConfigurationError, ObjectUnreadableError, ObjectVanishedError
from holded_pipeline.reading.key_patterns import glob_prefix, glob_regex
from holded_pipeline.reading.layout import SNIFF_BYTES, Layout, sniff_layout
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.new_objects import NewObjects
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.compression import is_text, without_compression_ending
from holded_pipeline.store.listed_pattern import normalize_pattern
from holded_pipeline.store.manifest_objects import manifest_objects
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.near_keys import describe_near_keys
from holded_pipeline.store.object_names import is_manifest
from holded_pipeline.store.read_plan import ReadUnit, Slice, StoredObject, divide_objects, split_lines
from holded_pipeline.store.shards import Shard

UNIT_BYTES: Final = 16 << 20
"""How many bytes a worker reads at a time by default."""

UNIT_OBJECTS: Final = 500
"""How many small objects a worker reads at a time by default, at most."""

_UNITS_OF_A_WORKER: Final = 4  # at least, so that none waits long for the others at the end

_logger = logging.getLogger("holded_pipeline")

OnEmpty = Literal["warn", "fail", "ignore"]
"""What happens if no object matches a pattern."""


def require_choice(name: str, value: object, *choices: str | None) -> None:
    """Checks an argument that has a few values.

    Raises:
        ValueError: it is none of them.
    """
    if value not in choices:
        *others, last = (f'"{choice}"' if choice else "None" for choice in choices)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")


def _require_at_least_1(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name} must be at least 1, got {value}")


def _validate_pattern(_: object, _attribute: attrs.Attribute[str], value: str) -> None:
    glob_regex(value)  # raises for a wrong set


@attrs.frozen(kw_only=True)
class ReadPlanner:
    """Plans what is read of a bucket; its arguments are those of `ReadMinIO`. Constructing it does no I/O.

    Raises:
        ValueError: an argument is wrong.
    """

    lake: MinIO
    pattern: str = attrs.field(converter=normalize_pattern, validator=_validate_pattern)
    layout: Layout | None = None
    has_records_path: bool = False
    on_empty: OnEmpty = "warn"
    unit_bytes: int = attrs.field(default=UNIT_BYTES, validator=_require_at_least_1)
    unit_objects: int = attrs.field(default=UNIT_OBJECTS, validator=_require_at_least_1)
    manifest: bool = False
    ledger: Ledger | None = None
    shard: Shard | None = None
    workers: int | None = None
    """The workers that share the work, for whom large files of lines are divided; None: each large file is divided."""

    def __attrs_post_init__(self) -> None:
        require_choice("on_empty", self.on_empty, "warn", "fail", "ignore")
        require_choice("layout", self.layout, "lines", "values", None)
        has_wildcards = glob_prefix(self.pattern) != self.pattern
        if self.manifest and (has_wildcards or (self.ledger and self.ledger.keys_grow)):
            raise ValueError(
                "with manifest=True the pattern is the prefix that WriteMinIO was given, without wildcards, and a "
                "ledger has no keys_grow: manifests are in no order"
            )

    def list_units(
        self, store: ObjectStore, check: Callable[[Iterable[StoredObject]], Iterator[StoredObject]] | None = None
    ) -> Iterator[ReadUnit | StoredObject]:
        """Units of small objects, and other objects as they are: those to be split, and empty ones.

        A large object that need not be split is a unit by itself.

        Args:
            store: the open store.
            check: gives the same objects, or raises for one that is not to be read.
        """
        objects = self._own(store) if self.ledger is None else self._new(store, self.ledger)
        if check is not None:
            objects = check(objects)
        found = divide_objects(objects, unit_bytes=self.unit_bytes, unit_objects=self.unit_objects)
        return found if self.workers is None else _whole_where_enough(found, self.workers)

    def split(self, store: ObjectStore, stored: StoredObject) -> Iterable[ReadUnit]:
        """The slices of a large object if it is a plain line file; one unit of all of it otherwise.

        With a shard, those of its part; all of another file if the shard owns it.
        """
        whole = _whole(stored)
        part = self.shard.part_of(stored, self.unit_bytes) if self.shard and self._divides_files else None
        try:
            if not self._is_plain_lines(store, stored):
                return [whole] if self.shard is None or self.shard.owns(stored.key) else []
            chunks = store.stream(whole.slices[0])
            # A list, so that an object which vanishes in the middle is not read in half of its slices.
            return list(split_lines(stored, chunks, unit_bytes=_even_size(stored, self.unit_bytes), part=part))
        except (ObjectVanishedError, ObjectUnreadableError):
            return [whole]  # who reads it meets the error again, and decides; so each shard that has a part

    @property
    def splits(self) -> bool:
        """Whether large files may be divided."""
        return self.workers != 1

    @property
    def _divides_files(self) -> bool:
        """Whether shards have parts of large files: a run can settle only an object that it read all of."""
        return self.ledger is None and self._layout_to_cut != "values"

    @property
    def _layout_to_cut(self) -> Layout | None:
        return "values" if self.has_records_path else self.layout  # a document with its records must not be cut

    def _own(self, store: ObjectStore, start_after: str = "") -> Iterator[StoredObject]:
        """The objects that match; with a shard, those that are of it or may have a part that is."""
        return filter(self._is_own, self._matching(store, start_after))

    def _is_own(self, stored: StoredObject) -> bool:
        if self.shard is None or self.shard.owns(stored.key):
            return True
        return self._divides_files and self.shard.part_of(stored, self.unit_bytes) is not None

    def _matching(self, store: ObjectStore, start_after: str = "") -> Iterator[StoredObject]:
        matches = re.compile(glob_regex(self.pattern)).match
        found_any = False
        if self.manifest:
            listed = manifest_objects(store, self.lake.bucket, self.pattern)
        else:
            listed = store.objects(glob_prefix(self.pattern), start_after=start_after)
        for stored in listed:
            if matches(stored.key) and not is_manifest(stored.key):
                found_any = True
                yield stored
        if not found_any and not start_after and self.on_empty != "ignore":
            self._report_empty(store)

    def _new(self, store: ObjectStore, ledger: Ledger) -> Iterator[StoredObject]:
        # Each shard has a bookmark of its own, since it lists its own objects. No pattern has an empty level.
        listed = self.pattern if self.shard is None else f"{self.pattern}//shard {self.shard}"
        new_objects = NewObjects(ledger, self.lake.bucket, listed)
        yield from new_objects.find(partial(self._own, store))
        _logger.info(
            "listed %d objects of %s for %r, of which %d are new to the ledger %r",
            new_objects.listed,
            self.lake.bucket,
            self.pattern,
            new_objects.new,
            ledger.name,
        )

    def _report_empty(self, store: ObjectStore) -> None:
        found = f"is in a manifest below {self.pattern!r}" if self.manifest else f"matches {self.pattern!r}"
        near = describe_near_keys(store, self.lake.bucket, glob_prefix(self.pattern))
        message = f"no object of {self.lake.bucket} {found}, so nothing is read{near and f'; {near}'}"
        if self.on_empty == "fail":
            raise ConfigurationError(f'{message}; check the bucket, prefix or pattern, or pass on_empty="warn"')
        _logger.warning("%s; check the bucket, prefix or pattern", message)

    def _is_plain_lines(self, store: ObjectStore, stored: StoredObject) -> bool:
        layout = self._layout_to_cut
        heads = _head_chunks(store, stored)
        first = next(heads)
        if layout is not None or not is_text(first):
            return layout == "lines" and is_text(first)
        return sniff_layout(chain([first], heads), without_compression_ending(stored.key))[0] == "lines"


def _head_chunks(store: ObjectStore, stored: StoredObject) -> Iterator[bytes]:
    """The object's first bytes, read as they are asked for: most layouts show in the first 64 KiB."""
    for start, end in pairwise((0, *SNIFF_BYTES)):
        if start < stored.size:
            yield store.read(Slice(stored.key, stored.etag, stored.size, start, min(end, stored.size)))


def _whole(stored: StoredObject) -> ReadUnit:
    return ReadUnit((Slice(stored.key, stored.etag, stored.size),))


def _even_size(stored: StoredObject, unit_bytes: int) -> int:
    """At most `unit_bytes`: for slices of about one size, so that no worker gets only the short last ones."""
    return math.ceil(stored.size / math.ceil(stored.size / unit_bytes))


def _whole_where_enough(found: Iterable[ReadUnit | StoredObject], workers: int) -> Iterator[ReadUnit | StoredObject]:
    """The same, with large objects as units where all workers have enough to do without splitting them."""
    # To find where to cut, an object is read once more. Of 50 files of 20 MB, two workers have 25 each; of one file of
    # 1 GB, the second would have nothing. So what is more than a quarter of a worker's share is split.
    large: list[StoredObject] = []
    total = 0
    for each in found:
        if isinstance(each, ReadUnit):
            total += each.bytes
        elif each.size and workers > 1:
            total += each.size
            large.append(each)
            continue
        yield _whole(each) if isinstance(each, StoredObject) and each.size else each
    for stored in large:
        yield stored if stored.size * workers * _UNITS_OF_A_WORKER > total else _whole(stored)
