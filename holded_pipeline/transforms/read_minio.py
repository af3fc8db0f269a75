"""ReadMinIO: the events of a store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain, pairwise
from typing import Any, Literal

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue

from holded_pipeline.model.errors import ObjectVanishedError, RejectRecord
from holded_pipeline.model.values import Event, Outcome, PayloadKind, Source
from holded_pipeline.plugins.registry import PluginRegistry, default_registry
from holded_pipeline.reading.envelopes import Envelope
from holded_pipeline.reading.framing import KEEP_BYTES, Record, frame
from holded_pipeline.reading.layout import SNIFF_BYTES, Layout, sniff_layout
from holded_pipeline.reading.records import RecordReader, describe_envelope, glob_prefix, glob_regex
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.store.compression import decompress, find_damage, is_compressed, without_compression_ending
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import normalize_pattern
from holded_pipeline.store.read_plan import ReadUnit, Slice, StoredObject, group_small, split_lines
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, Counters, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.beam.store_access import StoreDoFn

_STAGE = "read"
_LARGE = "large"


class ReadMinIO(RejectingTransform[Event]):
    """Reads the events under a prefix of any S3-compatible store.

    Objects may hold JSON lines, JSON arrays or single documents, plain, gzip or zstd, in any mixture. Applied to
    a pipeline it gives an `Outcome`: `passed` is a PCollection of `Event` with event-time timestamps, `rejected`
    one of `Rejected` with stage `read`.

    Args:
        lake: the store and its bucket.
        pattern: a key prefix such as `raw/`, or a glob: `*` and `?` stay within one level, `**` does not.
        envelope: how a JSON document becomes an event: `holded`, `flat`, `event` (what `WriteMinIO` wrote), the
            name of one that a plugin registered, or a function `(document, source) -> Event`.
        on_vanished: what an object does that is deleted or overwritten between listing and reading: `fail` the
            run, or be `reject`-ed with reason `object_vanished`.
        unit_bytes: how much is read together: small objects up to this size in sum, large line files in
            slices of this size.
        unit_objects: how many small objects are read together at most.
        max_record_bytes: a larger record is rejected with reason `record_too_large`; with the envelope `event`, whose
            records were accepted before, one above 64 MiB.
        max_depth: a more deeply nested record is rejected with reason `too_deep`; the envelope `event` takes two levels
            more, for what was put around it.
        registry: where names of envelopes are looked up; by default the installed plugins'.

    Raises:
        ValueError: an argument is wrong, or no envelope has that name; the message lists the known ones.
        ConfigurationError: (applying) the envelope cannot be sent to workers; (running) the bucket, the keys or the
            endpoint are wrong.
        ObjectVanishedError: (running) see `on_vanished`.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** each record of each listed object comes out once per attempt of its bundle, as an event or as
    a rejection with its object, version and line. Objects are read at the version that was listed. No order.
    Listing is sequential; reading runs in parallel over units, of which only the addresses are shuffled. A plain
    line file above `unit_bytes` is read twice: once to find the ends of its lines; so is a compressed object above
    4 MiB: once to see that it is whole. A damaged compressed object is one rejection, since none of its text can
    be trusted.
    """

    def __init__(
        self,
        lake: MinIO,
        pattern: str,
        *,
        envelope: str | Envelope = "holded",
        on_vanished: Literal["fail", "reject"] = "fail",
        unit_bytes: int = 16 << 20,
        unit_objects: int = 500,
        max_record_bytes: int = 16 << 20,
        max_depth: int = 100,
        registry: PluginRegistry | None = None,
    ) -> None:
        super().__init__()
        if on_vanished not in ("fail", "reject"):
            raise ValueError(f'on_vanished must be "fail" or "reject", got {on_vanished!r}')
        for name, value in (("unit_bytes", unit_bytes), ("unit_objects", unit_objects)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._lake = lake
        self._pattern = normalize_pattern(pattern)
        self._on_vanished = on_vanished
        self._unit_bytes = unit_bytes
        self._unit_objects = unit_objects
        self._envelope = envelope
        resolved = (registry or default_registry()).envelope(envelope)
        self._reader = RecordReader(resolved, max_record_bytes=max_record_bytes, max_depth=max_depth)

    def expand(self, pipeline: beam.pvalue.PBegin) -> Outcome:
        """Lists, plans, shuffles the plan, reads."""
        check_picklable(self._reader, describe_envelope(self._envelope))
        listed = (
            pipeline
            | "NamePattern" >> beam.Create([self._pattern])
            | "ListObjects"
            >> beam.ParDo(_ListObjects(self._lake, self._unit_bytes, self._unit_objects)).with_outputs(
                _LARGE, main="units"
            )
        )
        listed.units.element_type = ReadUnit
        listed[_LARGE].element_type = StoredObject
        split = (
            listed[_LARGE]
            | "SpreadLarge" >> beam.Reshuffle()
            | "SplitLarge" >> beam.ParDo(_SplitLarge(self._lake, self._unit_bytes)).with_output_types(ReadUnit)
        )
        outputs = (
            (listed.units, split)
            | "JoinPlan" >> beam.Flatten()
            | "SpreadPlan" >> beam.Reshuffle()
            | "ReadUnits"
            >> beam.ParDo(
                _ReadUnits(
                    self._lake,
                    self._reader,
                    self._on_vanished,
                    run_id_of(pipeline.pipeline),
                    step_of(pipeline.pipeline),
                )
            ).with_outputs(REJECTED, main=PASSED)
        )
        outcome: Outcome = self._outcome(outputs[PASSED], outputs[REJECTED], Event)
        return outcome


class _ListObjects(StoreDoFn):
    """A pattern to read units; objects that may be worth splitting go to an output of their own."""

    def __init__(self, lake: MinIO, unit_bytes: int, unit_objects: int) -> None:
        super().__init__(lake)
        self._unit_bytes = unit_bytes
        self._unit_objects = unit_objects

    def process(self, pattern: str) -> Iterator[Any]:
        large: list[StoredObject] = []
        units = group_small(self._small(pattern, large), unit_bytes=self._unit_bytes, unit_objects=self._unit_objects)
        for unit in units:
            yield unit
            while large:
                yield beam.pvalue.TaggedOutput(_LARGE, large.pop())
        for stored in large:
            yield beam.pvalue.TaggedOutput(_LARGE, stored)

    def _small(self, pattern: str, large: list[StoredObject]) -> Iterator[StoredObject]:
        matches = re.compile(glob_regex(pattern)).match
        for stored in self._store.objects(glob_prefix(pattern)):
            if not matches(stored.key):
                continue
            if stored.size > self._unit_bytes:
                large.append(stored)
            else:
                yield stored


class _SplitLarge(StoreDoFn):
    """A large object to slices where it is a plain line file, to one unit where it is not."""

    def __init__(self, lake: MinIO, unit_bytes: int) -> None:
        super().__init__(lake)
        self._unit_bytes = unit_bytes

    def process(self, stored: StoredObject) -> Iterable[ReadUnit]:
        whole = Slice(stored.key, stored.etag, stored.size)
        try:
            is_split = self._is_plain_lines(stored)
        except ObjectVanishedError:
            is_split = False  # the reader meets it again, and decides
        return self._slices(stored, whole) if is_split else [ReadUnit((whole,))]

    def _is_plain_lines(self, stored: StoredObject) -> bool:
        looks = self._looks(stored)
        head = next(looks)
        key = without_compression_ending(stored.key)
        return not is_compressed(head) and sniff_layout(chain([head], looks), key)[0] == "lines"

    def _looks(self, stored: StoredObject) -> Iterator[bytes]:
        """The object's beginning, no more of it than is asked for."""
        for start, end in pairwise((0, *SNIFF_BYTES)):
            if start < stored.size:
                yield self._store.read(Slice(stored.key, stored.etag, stored.size, start, min(end, stored.size)))

    def _slices(self, stored: StoredObject, whole: Slice) -> Iterable[ReadUnit]:
        try:
            # A list, since a plan that breaks off in the middle must not be carried out.
            return list(split_lines(stored, self._store.stream(whole), unit_bytes=self._unit_bytes))
        except ObjectVanishedError:
            return [ReadUnit((whole,))]


class _ReadUnits(StoreDoFn):
    """A read unit to events and rejections."""

    def __init__(self, lake: MinIO, reader: RecordReader, on_vanished: str, run_id: str, step: str) -> None:
        super().__init__(lake)
        self._reader = reader
        self._on_vanished = on_vanished
        self._run_id = run_id
        self._step = step
        self._counters = Counters(_STAGE)

    def process(self, unit: ReadUnit) -> Iterator[Any]:
        for piece, open_chunks in self.bodies(unit):
            yield from self._slice(piece, open_chunks)

    def _slice(self, piece: Slice, open_chunks: Callable[[], Iterator[bytes]]) -> Iterator[Any]:
        self._counters.add("slices")
        self._counters.add("bytes", piece.length)
        try:
            yield from self._records(piece, open_chunks)
        except ObjectVanishedError as error:
            if self._on_vanished == "fail":
                raise
            yield self._reject_object(piece, RejectRecord("object_vanished", str(error)), b"", "nothing")

    def _records(self, piece: Slice, open_chunks: Callable[[], Iterator[bytes]]) -> Iterator[Any]:
        chunks = open_chunks()
        text: Iterator[bytes] = chain([head := next(chunks, b"")], chunks)
        if is_compressed(head):
            fault = find_damage(text)
            if fault is not None:
                yield self._reject_object(piece, fault, _first(open_chunks(), KEEP_BYTES), "object")
                return
            text = decompress(open_chunks())
        layout: Layout | None = "lines" if piece.length < piece.size else None
        key = without_compression_ending(piece.key)
        for record in frame(text, key=key, first_line=piece.first_line, layout=layout):
            self._counters.add("records")
            yield self._event(piece, record)

    def _reject_object(
        self, piece: Slice, fault: RejectRecord, raw: bytes, kind: PayloadKind
    ) -> beam.pvalue.TaggedOutput:
        """An object, or the slice of it, that counts as one record because its records cannot be had."""
        self._counters.add("records")
        return self._rejected(fault, raw, Source(self._lake.bucket, piece.key, piece.etag, piece.first_line), kind)

    def _event(self, piece: Slice, record: Record) -> Any:
        source = Source(self._lake.bucket, piece.key, piece.etag, record.line, record.item)
        try:
            event = self._reader.event(record, source)
        except RejectRecord as fault:
            return self._rejected(fault, record.raw, source, "record" if record.whole else "part")
        self._counters.add("passed")
        return TimestampedValue(event, event.occurred_at.timestamp())

    def _rejected(self, fault: RejectRecord, raw: bytes, source: Source, kind: PayloadKind) -> beam.pvalue.TaggedOutput:
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


def _first(chunks: Iterator[bytes], size: int) -> bytes:
    kept = bytearray()
    for chunk in chunks:
        kept += chunk[: size - len(kept)]
        if len(kept) == size:
            break
    return bytes(kept)
