"""From read units to events and rejections."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from typing import Any, Final, Literal, TypeAlias

import apache_beam as beam

from holded_pipeline.model.carried_text import ReadObject
from holded_pipeline.model.errors import ObjectUnreadableError, ObjectVanishedError, RejectRecord
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.model.object_counts import ObjectCount
from holded_pipeline.model.values import Event, PayloadKind, Source
from holded_pipeline.reading.framed_records import KEEP_BYTES, Lines, Record
from holded_pipeline.reading.framing import divide_line, frame_blocks
from holded_pipeline.reading.framing_under_path import frame_under_path
from holded_pipeline.reading.layout import Layout
from holded_pipeline.reading.records import RecordReader
from holded_pipeline.reading.records_path import RecordsPath
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.runs.progress import READ_UNITS
from holded_pipeline.store.compression import checked_text, without_compression_ending
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import ReadUnit, Slice
from holded_pipeline.transforms.beam.event_batches import at_its_time
from holded_pipeline.transforms.beam.given_up import require_wanted
from holded_pipeline.transforms.beam.interpreter_settings import settings_for_reading
from holded_pipeline.transforms.beam.live_counts import count_live
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.transforms.beam.store_access import OpenChunks, StoreDoFn
from holded_pipeline.transforms.workers.following_units import UnitAndFollowing

_STAGE = "read"
_MAY_BE_SEVERAL = {"invalid_json", "invalid_utf8", "not_finite", "number_too_large", "record_too_large", "too_deep"}
LINES_AT_ONCE = 50  # that are read in one loop; only their events are in memory
BYTES_AT_ONCE = 256 << 10


_logger = logging.getLogger("holded_pipeline")
_warned: set[tuple[str, str]] = set()  # the runs and steps of this process that said which envelope fits
_warned_lock = threading.Lock()

RejectedObjects = frozenset[Literal["vanished", "unreadable"]]
"""Which objects that cannot be read are rejected; any other fails the run."""


Output: TypeAlias = "list[Event] | beam.pvalue.TaggedOutput"
"""Events, or a rejection or a count with its tag."""

READ_OBJECTS: Final = "objects"
"""The output of `ReadUnits` with an `ObjectCount` for each slice that was read."""


class ReadUnits(StoreDoFn):
    """A read unit to events and rejections, and how many records each slice had."""

    def __init__(
        self,
        lake: MinIO,
        reader: RecordReader,
        rejected_objects: RejectedObjects,
        *,
        run_id: str,
        step: str,
        layout: Layout | None = None,
        records: RecordsPath | None = None,
    ) -> None:
        super().__init__(lake)
        self._records = records
        self._layout = layout
        self.reader = reader
        self._rejected_objects = rejected_objects
        self._run_id = run_id
        self._step = step
        self._counters = Counters(_STAGE)
        self._records_of_slice = 0
        self._first_records = reader.first_records()

    def start_bundle(self) -> None:
        self.reader = self.reader.at(datetime.now(UTC))

    def finish_bundle(self) -> None:
        self._counters.flush()

    def process(self, unit: UnitAndFollowing) -> Iterator[Any]:
        with settings_for_reading():  # the steps that follow run within this block
            for output in self.outputs(*unit):
                if isinstance(output, list):
                    yield from map(at_its_time, output)
                else:
                    yield output

    def outputs(self, unit: ReadUnit, following: ReadUnit | None) -> Iterator[Output]:
        """What `process` gives, before events have their timestamps."""
        for unit_slice, open_chunks in self.bodies(unit, following):
            yield from self._read_slice(unit_slice, open_chunks)
        self._warn(self._first_records.advice())
        count_live(READ_UNITS)

    def _read_slice(self, unit_slice: Slice, open_chunks: OpenChunks) -> Iterator[Output]:
        require_wanted()
        self._counters.add("slices")
        self._counters.add("bytes", unit_slice.length)
        self._records_of_slice = 0
        yield from self._read_or_reject(unit_slice, open_chunks)
        count = ObjectCount(self._lake.bucket, unit_slice.key, unit_slice.etag, self._records_of_slice)
        yield beam.pvalue.TaggedOutput(READ_OBJECTS, count)

    def _read_or_reject(self, unit_slice: Slice, open_chunks: OpenChunks) -> Iterator[Output]:
        try:
            yield from self._read_records(unit_slice, open_chunks)
        except ObjectVanishedError as error:
            if "vanished" not in self._rejected_objects:
                raise
            fault = RejectRecord("object_vanished", str(error))
        except ObjectUnreadableError as error:
            if "unreadable" not in self._rejected_objects:
                raise
            fault = RejectRecord("object_unreadable", str(error))
        else:
            return
        yield self._reject_object(unit_slice, fault, b"", "nothing")

    def _read_records(self, unit_slice: Slice, open_chunks: OpenChunks) -> Iterator[Output]:
        try:
            text = checked_text(open_chunks) if unit_slice.start == 0 else open_chunks()
        except RejectRecord as fault:
            yield self._reject_object(unit_slice, fault, _first_bytes(open_chunks(), KEEP_BYTES), "object")
            return
        read_object = ReadObject(self._lake.bucket, unit_slice.key, unit_slice.etag)
        package_ids = PackageIds(self._lake.bucket, unit_slice.key, unit_slice.etag)
        for block in self._frame(unit_slice, text, open_chunks):
            if isinstance(block, Record):
                event = self.reader.read_common(block, (read_object, block.line, block.item), package_ids)
                yield from [[self._counted(event)]] if event else self._read_one(read_object, block)
            else:
                yield from self._read_lines(block, read_object, package_ids)

    def _frame(
        self, unit_slice: Slice, text: Iterator[bytes], open_chunks: OpenChunks
    ) -> Iterator[Record] | Iterator[Record | Lines]:
        key = without_compression_ending(unit_slice.key)
        if self._records is None:
            layout: Layout | None = "lines" if unit_slice.length < unit_slice.size else self._layout
            return frame_blocks(text, key=key, first_line=unit_slice.first_line, layout=layout)
        texts = chain([text], (checked_text(open_chunks) for _ in count()))
        return frame_under_path(
            partial(next, texts),
            self._records,
            key=key,
            layout=self._layout,
            with_outer=self.reader.takes_outer,
        )

    def _read_lines(self, block: Lines, read_object: ReadObject, package_ids: PackageIds) -> Iterator[Output]:
        for lines in _groups_of(block):
            events = self.reader.read_common_lines(lines, read_object, package_ids)
            unusual = events.count(None)
            self._count_records(len(events) - unusual)
            self._counters.add("passed", len(events) - unusual)
            if unusual < len(events):
                self._first_records.passed()
            if not unusual:
                yield events
            else:
                yield from self._read_unusual(events, lines, read_object)

    def _read_unusual(self, events: Sequence[Event | None], lines: Lines, read_object: ReadObject) -> Iterator[Output]:
        """The same events, with those that are missing read one by one."""
        read: list[Event] = []
        for number, event in enumerate(events):
            if event is not None:
                read.append(event)
                continue
            record = Record(lines.raws[number], lines.first_line + number)
            for output in self._read_one(read_object, record):
                if isinstance(output, list) and not self.reader.calls_user_code:
                    read += output
                else:  # what slow code of a user's has read does not wait
                    yield output
        if read:
            yield read

    def _read_one(self, read_object: ReadObject, record: Record) -> Iterator[Output]:
        """The event or the rejection of a record; of each of its values, if it is a line that holds several."""
        source = Source(read_object.bucket, read_object.key, read_object.etag, record.line, record.item)
        try:
            read: Output = [self._counted(self.reader.read(record, source, read_object))]
        except RejectRecord as fault:
            values = divide_line(record) if fault.reason in _MAY_BE_SEVERAL else [record]
            if values != [record]:
                for value in values:
                    yield from self._read_one(read_object, value)
                return
            self._count_records(1)
            self._warn(self._first_records.rejected(fault, record.raw))
            read = self._reject(fault, record.raw, source, "record" if record.whole else "part")
        yield read

    def _count_records(self, number: int) -> None:
        self._records_of_slice += number
        self._counters.add("records", number)

    def _counted(self, event: Event) -> Event:
        self._count_records(1)
        self._counters.add("passed")
        self._first_records.passed()
        return event

    def _warn(self, advice: str | None) -> None:
        """Logs what would read the records, for whoever forgot to name the envelope; once for a run."""
        with _warned_lock:
            if advice is None or (self._run_id, self._step) in _warned:
                return
            _warned.add((self._run_id, self._step))
        _logger.warning("%s: %s", self._step, advice)

    def _reject_object(
        self, unit_slice: Slice, fault: RejectRecord, raw: bytes, kind: PayloadKind
    ) -> beam.pvalue.TaggedOutput:
        """Rejects an object, or a slice of it, as one record, since its records cannot be read."""
        self._count_records(1)
        source = Source(self._lake.bucket, unit_slice.key, unit_slice.etag, unit_slice.first_line)
        return self._reject(fault, raw, source, kind)

    def _reject(self, fault: RejectRecord, raw: bytes, source: Source, kind: PayloadKind) -> beam.pvalue.TaggedOutput:
        return self._counters.rejected(
            reject(
                fault,
                stage=_STAGE,
                raw=raw,
                run_id=self._run_id,
                step=self._step,
                rejected_at=datetime.now(UTC),
                source=source,
                payload_kind=kind,
            )
        )


def _groups_of(block: Lines) -> Iterator[Lines]:
    """The lines, so many at a time that the memory of their events is small."""
    start = size = 0
    for number, raw in enumerate(block.raws, 1):
        size += len(raw)
        if size >= BYTES_AT_ONCE or number - start == LINES_AT_ONCE:
            yield Lines(block.raws[start:number], block.first_line + start)
            start, size = number, 0
    if start < len(block.raws):
        yield Lines(block.raws[start:], block.first_line + start)


def _first_bytes(chunks: Iterator[bytes], size: int) -> bytes:
    kept = bytearray()
    for chunk in chunks:
        kept += chunk[: size - len(kept)]
        if len(kept) == size:
            break
    return bytes(kept)
