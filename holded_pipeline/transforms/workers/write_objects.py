"""Writes elements to objects of JSON lines: what WriteMinIO and WriteRejected share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apache_beam as beam
import attrs
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.object_counts import ObjectCount
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.compression import Compression, jsonl_ending, validate_compression
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_buffers import FinishedObject, Line, ObjectBuffers
from holded_pipeline.store.object_names import ObjectNames, Partition, has_ambiguous_level, validate_prefix
from holded_pipeline.transforms.beam.batches import GLOBAL_WINDOW, BatchDoFn, Waiting
from holded_pipeline.transforms.beam.event_batches import OutOfEventBatches
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.transforms.workers.pending_objects import PendingObjects, Stored


@attrs.frozen
class WrittenObject:
    """An object that a run wrote.

    Attributes:
        key: its key.
        etag: its etag.
        records: how many lines it has.
        bytes: its size as stored.
        objects: its records by the objects that they were read from; those without a source are in none.
    """

    key: str
    etag: str
    records: int
    bytes: int
    objects: tuple[ObjectCount, ...] = attrs.field(default=(), repr=False)


@attrs.frozen
class ObjectSettings:
    """How objects are named, compressed and limited in size; see `WriteMinIO`."""

    prefix: str = attrs.field(converter=validate_prefix)
    partition: Partition | None
    compression: Compression | None = attrs.field(validator=validate_compression)
    object_bytes: int = attrs.field(validator=attrs.validators.ge(1))
    object_seconds: float = attrs.field(validator=attrs.validators.gt(0))
    buffer_bytes: int = attrs.field(validator=attrs.validators.ge(1))

    @property
    def pending_bytes(self) -> int:
        """The part of `buffer_bytes` for objects that are stored while others are being filled."""
        return self.buffer_bytes // 8


class WriteObjects(BatchDoFn):
    """Adds the line of each element to the open object of its partition, and stores objects that are complete.

    `encode` returns one line without its end, as bytes or as chunks of bytes; `step` is a label that no other
    transform of the run has. For elements in the global window (see `WriteWindowedObjects`).
    """

    def __init__(
        self,
        lake: MinIO,
        encode: Callable[[Any], Line],
        settings: ObjectSettings,
        *,
        run_id: str,
        step: str,
        stage: str,
        attempt: str = "",
    ) -> None:
        self._attempt = attempt
        self._lake = lake
        self._encode = encode
        self._settings = settings
        # Not a second: where objects end must depend on the events alone, so that a bundle that is retried replaces its
        # objects instead of adding others.
        self.most_seconds = settings.object_seconds
        self._run_id = run_id
        self._step = step
        self._counters = Counters(stage)

    def setup(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="compress")
        self._store = ObjectStore(self._lake)

    def start_bundle(self) -> None:
        super().start_bundle()
        self._buffers = ObjectBuffers(
            self._settings.compression,
            object_bytes=self._settings.object_bytes,
            object_seconds=self._settings.object_seconds,
            total_bytes=self._settings.buffer_bytes - self._settings.pending_bytes,
            executor=self._executor,
        )
        self._wait_for_failed_bundle()
        self._pending = PendingObjects(self._store.write, self._settings.pending_bytes)
        self._names = ObjectNames(self._run_id, self._step, self._attempt)
        self._last_partition: Any = object()

    def process(self, element: Any) -> Iterable[Any]:
        return self.add(element, GLOBAL_WINDOW)

    def work_on(self, batch: Sequence[Waiting]) -> list[WindowedValue]:
        windows: dict[BoundedWindow, dict[str, tuple[list[Line], list[Any]]]] = {}
        last_window: Any = object()
        partition_of, encode = self._partition_of, self._encode
        for element, window in batch:
            if window is not last_window:
                places, last_window = windows.setdefault(window, {}), window
            place = places.get(partition := partition_of(element))
            if place is None:
                place = places[partition] = ([], [])
            place[0].append(encode(element))
            place[1].append(element)
        now = time.monotonic()
        outputs: list[WindowedValue] = []
        for window, places in windows.items():
            for partition, (lines, elements) in places.items():
                due = self._buffers.add_lines((partition, window), lines, elements, now, self._batch_since)
                for finished in due:
                    outputs.extend(self._store_object(finished))
        return outputs

    def _partition_of(self, element: Any) -> str:
        if self._settings.partition is None:
            return ""
        partition: Any = self._settings.partition(element)
        if self._last_partition is partition:  # what follows was done for it
            return str(partition)
        if not isinstance(partition, str) or has_ambiguous_level(partition):
            raise ConfigurationError(
                f"the partition function returned {partition!r}; it must return text such as 'country=ES', without "
                "the levels . and .., and without empty ones (//)"
            )
        self._last_partition = partition
        return partition

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from super().finish_bundle()
        for finished in self._buffers.finish():
            yield from self._store_object(finished, is_last=True)
        yield from map(self._written, self._pending.finish())
        self._counters.flush()

    def teardown(self) -> None:
        if hasattr(self, "_executor"):
            self._executor.shutdown(cancel_futures=True)
        if hasattr(self, "_store"):
            self._store.stop_retrying()
            self._wait_for_failed_bundle()
            self._store.close()

    def _wait_for_failed_bundle(self) -> None:
        """Objects of a bundle that failed do not appear once the run has ended, or over those of its next attempt."""
        if hasattr(self, "_pending"):
            self._pending.wait()

    def _store_object(self, finished: FinishedObject, *, is_last: bool = False) -> Iterator[WindowedValue]:
        """Begins to store an object; those that were stored meanwhile."""
        partition, window = finished.destination
        key = self._names.key(
            self._settings.prefix,
            partition,
            finished.identity,
            jsonl_ending(self._settings.compression),
            window=(str(getattr(window, "start", "")), str(window.max_timestamp())),
        )
        return map(self._written, self._pending.add(key, finished, is_last=is_last))

    def _written(self, stored: Stored) -> WindowedValue:
        key, finished, etag = stored
        self._counters.add("objects")
        self._counters.add("records", finished.records)
        self._counters.add("bytes", len(finished.body))
        written = WrittenObject(key, etag, finished.records, len(finished.body), finished.objects)
        _, window = finished.destination
        # In the window of its own elements: an element of another window may have completed the object.
        return WindowedValue(written, window.max_timestamp(), (window,))


class WriteEventBatches(OutOfEventBatches, WriteObjects):
    """The same for events that come in batches."""

    place = GLOBAL_WINDOW


class WriteWindowedObjects(WriteObjects):
    """The same for elements in any window; to be passed the window costs more than the rest of this step."""

    def process(self, element: Any, window: BoundedWindow = beam.DoFn.WindowParam) -> Iterable[Any]:
        return self.add(element, window)
