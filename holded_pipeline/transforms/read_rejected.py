"""ReadRejected: refused records, given back to the flow they came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import apache_beam as beam
import attrs
from apache_beam.transforms.window import TimestampedValue

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Rejected, Source
from holded_pipeline.plugins.registry import PluginRegistry, default_registry
from holded_pipeline.reading.envelopes import Envelope
from holded_pipeline.reading.envelopes import event as stored_event
from holded_pipeline.reading.framing import Record
from holded_pipeline.reading.records import RecordReader, describe_envelope
from holded_pipeline.rejected.dead_letter_store import Selection, replayable, store_prefix
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import validate_prefix
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, Counters, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of
from holded_pipeline.transforms.workers.open_rejected import OpenRejected

_STAGE = "read"
_PARKED = "parked"


class Replayed(NamedTuple):
    """What `ReadRejected` gives.

    Attributes:
        passed: PCollection of `Event`, as `ReadMinIO` would give them, with `attempts` and `replay_of`.
        rejected: PCollection of `Rejected`: those that make no event this time either.
        parked: PCollection of `Rejected`, unchanged: those that were tried often enough or cannot be replayed.
    """

    passed: Any
    rejected: Any
    parked: Any


class ReadRejected(RejectingTransform[Event]):
    """Reads rejected records and makes events of them again, for the flow that refused them.

    Applied to a pipeline it gives a `Replayed`: `passed`, a PCollection of `Event` with the original bytes, source and
    event-time timestamps; `rejected`, one of `Rejected` with stage `read`; `parked`, one of `Rejected` as they stand.
    Only open rejections are read: see `SettleRejected`.

    Args:
        lake: the store and its bucket.
        prefix: what `WriteRejected` was given.
        stage: only those refused there; a text or a collection of texts, as the next three.
        reason: only those with this code.
        subject: only those checked against a schema of this subject.
        event_type: only those that became an event of this type.
        since: only those refused at this moment (aware) or later.
        until: only those refused before this moment (aware).
        envelope: how a document becomes an event, as for `ReadMinIO`. Events that code made, and that hold no record,
            are read with the envelope `event` whatever this says.
        max_attempts: a record that was tried this often is parked.
        max_record_bytes: as for `ReadMinIO`; raise it to replay `record_too_large`.
        max_depth: as for `ReadMinIO`; raise it to replay `too_deep`.
        registry: where names of envelopes are looked up; by default the installed plugins'.

    Raises:
        ValueError: an argument is wrong, or no envelope has that name.
        ConfigurationError: (applying) the envelope cannot be sent to workers; (running) the bucket, the keys or the
            endpoint are wrong, or something below the prefix is no rejected record at all; the message names its key
            and line.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** each open rejection that is meant comes out once, in one of the three. The same rejection makes the
    same event, and a rejection of that event has the same id, however often it is replayed. Records of which only a
    part is kept, damaged objects and vanished ones are parked, never replayed as if whole. A rejection that breaks its
    schema stays in the pile, is counted (`replay.broken`) and named in the log, and holds up no other. No order. The
    pile is read twice, once for its ids; only ids and addresses are shuffled.
    """

    def __init__(
        self,
        lake: MinIO,
        prefix: str,
        *,
        stage: str | Collection[str] | None = None,
        reason: str | Collection[str] | None = None,
        subject: str | Collection[str] | None = None,
        event_type: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        envelope: str | Envelope = "holded",
        max_attempts: int = 5,
        max_record_bytes: int = 16 << 20,
        max_depth: int = 100,
        registry: PluginRegistry | None = None,
    ) -> None:
        super().__init__()
        if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, got {max_attempts!r}")
        self._lake = lake
        self._prefix = validate_prefix(prefix)
        self.selection = Selection(stage, reason, subject, event_type, since, until)
        self._max_attempts = max_attempts
        self._envelope = envelope
        resolved = (registry or default_registry()).envelope(envelope)
        limits = {"max_record_bytes": max_record_bytes, "max_depth": max_depth}
        self._reader = RecordReader(resolved, **limits)
        self._stored_reader = RecordReader(stored_event, **limits)

    def expand(self, pipeline: beam.pvalue.PBegin) -> Replayed:
        """Finds what is open, then makes events of it."""
        return self.replay(pipeline | "OpenRejected" >> OpenRejected(self._lake, self._prefix, self.selection))

    def replay(self, opened: beam.PCollection) -> Replayed:
        """The second half alone, for rejections that were read already."""
        check_picklable(self._reader, describe_envelope(self._envelope))
        origin = Source(self._lake.bucket, store_prefix(self._prefix), "", 1)
        replay = _Replay(self._reader, self._stored_reader, self._max_attempts, origin, run_id_of(opened.pipeline))
        outputs = opened | "Replay" >> beam.ParDo(replay).with_outputs(REJECTED, _PARKED, main=PASSED)
        outputs[_PARKED].element_type = Rejected
        outcome = self._outcome(outputs[PASSED], outputs[REJECTED], Event)
        if self._error_handler is not None:
            replayed: Replayed = outcome
            return replayed
        return Replayed(outcome.passed, outcome.rejected, outputs[_PARKED])


class _Replay(beam.DoFn):
    def __init__(
        self, reader: RecordReader, stored_reader: RecordReader, max_attempts: int, origin: Source, run_id: str
    ) -> None:
        self._reader = reader
        self._stored_reader = stored_reader
        self._max_attempts = max_attempts
        self._origin = origin
        self._run_id = run_id
        self._counters = Counters("replay")

    def process(self, rejected: Rejected) -> Iterator[Any]:
        self._counters.add("records")
        if not replayable(rejected, self._max_attempts):
            self._counters.add("parked")
            yield beam.pvalue.TaggedOutput(_PARKED, rejected)
            return
        try:
            event = self._event(rejected)
        except RejectRecord as fault:
            yield self._refused(rejected, fault)
            return
        self._counters.add("passed")
        yield TimestampedValue(event, event.occurred_at.timestamp())

    def _event(self, rejected: Rejected) -> Event:
        # What was never read from a store stands in the pile, under its id.
        source = rejected.source or attrs.evolve(self._origin, etag=rejected.id)
        record = Record(rejected.raw, source.line, source.item)
        if rejected.payload_kind == "event":
            made = self._stored_reader.event(record, source)
            event = attrs.evolve(made, source=rejected.source, raw=b"")
        else:
            event = self._reader.event(record, source)
        return attrs.evolve(event, attempts=rejected.attempts + 1, replay_of=rejected.id)

    def _refused(self, rejected: Rejected, fault: RejectRecord) -> beam.pvalue.TaggedOutput:
        return self._counters.rejected(
            reject(
                fault,
                stage=_STAGE,
                raw=rejected.raw,
                run_id=self._run_id,
                rejected_at=datetime.now(UTC),
                source=rejected.source,
                payload_kind=rejected.payload_kind,
                replays=rejected,
            )
        )
