"""ReadRejected: reads rejected records as events again, to replay them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import attrs
from apache_beam.transforms.window import TimestampedValue

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.timestamp_rules import Timestamps
from holded_pipeline.model.values import Event, Rejected, Source
from holded_pipeline.plugins.registry import PluginRegistry, default_registry
from holded_pipeline.reading.envelopes import Envelope, stored_event
from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.records import RecordReader, describe_envelope
from holded_pipeline.rejected.dead_letter_store import is_replayable, store_prefix
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.rejected.selection import Selection
from holded_pipeline.store.minio import MinIO, require_minio
from holded_pipeline.store.object_names import validate_prefix
from holded_pipeline.transforms.beam.inputs import require_beginning
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, Counters, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of
from holded_pipeline.transforms.workers.open_rejected import OpenRejected

_STAGE = "read"
_logger = logging.getLogger("holded_pipeline")
_PARKED = "parked"


class Replayed(NamedTuple):
    """What `ReadRejected` gives.

    Attributes:
        passed: PCollection of `Event`, as `ReadMinIO` would give them, with `attempts` and `replay_of`.
        rejected: PCollection of `Rejected`: those that cannot be read as an event this time either.
        parked: PCollection of `Rejected`, unchanged: those tried `max_attempts` times or that cannot be replayed, such
            as all whose envelope has a parameter `outer`.
    """

    passed: Any
    rejected: Any
    parked: Any


class ReadRejected(RejectingTransform[Event]):
    """Reads rejected records as events again, for the pipeline that rejected them.

    Applied to a pipeline it gives a `Replayed`: `passed`, a PCollection of `Event` with the original bytes, source and
    event-time timestamps; `rejected`, one of `Rejected` with stage `read`; `parked`, one of `Rejected`, unchanged.
    Only open rejections are read: see `SettleRejected`.

    Args:
        lake: the store and its bucket.
        prefix: what `WriteRejected` was given.
        stage: only those rejected at this stage; a text or a collection of texts, as the next three.
        reason: only those with this code.
        subject: only those checked against a schema of this subject.
        event_type: only those that became an event of this type.
        since: only those rejected at this time (aware) or later.
        until: only those rejected before this time (aware).
        envelope: how a document becomes an event, as for `ReadMinIO`. Events that were never read from a store are
            always read with the envelope `event`.
        max_attempts: a record that was tried this often is parked.
        max_record_bytes: as for `ReadMinIO`; raise it to replay `record_too_large`.
        max_depth: as for `ReadMinIO`; raise it to replay `too_deep`.
        timestamps: as for `ReadMinIO`; change it to replay `implausible_timestamp`.
        registry: where names of envelopes are looked up; by default the installed plugins'.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     replayed = p | hp.ReadRejected(lake, "rejected/", stage="validate")
        ...     checked = replayed.passed | hp.ValidateSchema(schemas, subject="{type}")
        ...     again = (replayed.rejected, checked.rejected) | hp.WriteRejected(lake, "rejected/")

    Raises:
        ValueError: an argument is wrong, or no envelope has that name.
        ConfigurationError: (applying) the envelope cannot be pickled; (running) the bucket, the keys or the endpoint
            are wrong, or a line below the prefix is not a rejected record; the message names its key and line.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** each open rejection that matches comes out once, in one of the three. The same rejection makes the
    same event, and a rejection of that event has the same id, however often it is replayed. Records of which only a
    part is kept, damaged objects and vanished ones are parked, never replayed as if whole; so are those whose envelope
    asks for the document around them (`outer`), which a dead letter does not have. A rejection that breaks its
    schema stays in the store, is counted (`replay.broken`) and named in the log, and the others are replayed. No
    order. The objects are read twice, once for the ids; only ids and positions are shuffled.
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
        timestamps: Timestamps | None = None,
        registry: PluginRegistry | None = None,
    ) -> None:
        super().__init__()
        require_minio(lake, "ReadRejected")
        if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, got {max_attempts!r}")
        self._lake = lake
        self._prefix = validate_prefix(prefix)
        self.selection = Selection(stage, reason, subject, event_type, since, until)
        self._max_attempts = max_attempts
        self._envelope = envelope
        resolved = (registry or default_registry()).envelope(envelope)
        read_by = partial(RecordReader, max_record_bytes=max_record_bytes, max_depth=max_depth)
        self._reader = read_by(resolved, timestamps=timestamps)
        self._stored_reader = read_by(stored_event)

    def expand(self, pipeline: beam.pvalue.PBegin) -> Replayed:
        """Finds the open rejections, then reads events from them."""
        require_beginning(pipeline, "ReadRejected")
        return self.replay(pipeline | "OpenRejected" >> OpenRejected(self._lake, self._prefix, self.selection))

    def replay(self, opened: beam.PCollection) -> Replayed:
        """Reads events from rejections that were read already: the second half of `expand`."""
        check_picklable(self._reader, describe_envelope(self._envelope), of=self._envelope)
        store = Source(self._lake.bucket, store_prefix(self._prefix), "", 1)
        run_id = run_id_of(opened.pipeline)
        replay = _ReplayRejected(self._reader, self._stored_reader, self._max_attempts, store, run_id)
        outputs = opened | "Replay" >> beam.ParDo(replay).with_outputs(REJECTED, _PARKED, main=PASSED)
        outputs[_PARKED].element_type = Rejected
        outcome = self._outcome(outputs[PASSED], outputs[REJECTED], Event)
        if self._error_handler is not None:
            replayed: Replayed = outcome
            return replayed
        return Replayed(outcome.passed, outcome.rejected, outputs[_PARKED])


class _ReplayRejected(beam.DoFn):
    """A rejection to an event, to another rejection, or parked."""

    def __init__(
        self, reader: RecordReader, stored_reader: RecordReader, max_attempts: int, store: Source, run_id: str
    ) -> None:
        self._reader = reader
        self._stored_reader = stored_reader
        self._max_attempts = max_attempts
        self._store = store
        self._run_id = run_id
        self._counters = Counters("replay")
        self._lacking_outer = 0

    def start_bundle(self) -> None:
        self._lacking_outer = 0
        self._reader = self._reader.at(datetime.now(UTC))

    def finish_bundle(self) -> None:
        self._counters.flush()
        if self._lacking_outer:
            _logger.warning(
                "%d dead letters are parked: their envelope asks for what stood around them (outer), and a dead letter "
                "has the record alone; read their objects again by hp.ReadMinIO(..., records=...)",
                self._lacking_outer,
            )

    def process(self, rejected: Rejected) -> Iterator[Any]:
        self._counters.add("records")
        lacks_outer = self._reader.takes_outer and rejected.payload_kind != "event"
        self._lacking_outer += lacks_outer
        if lacks_outer or not is_replayable(rejected, self._max_attempts):
            self._counters.add("parked")
            yield beam.pvalue.TaggedOutput(_PARKED, rejected)
            return
        try:
            event = self._read_event(rejected)
        except RejectRecord as fault:
            yield self._reject(rejected, fault)
            return
        self._counters.add("passed")
        yield TimestampedValue(event, event.occurred_at.timestamp())

    def _read_event(self, rejected: Rejected) -> Event:
        # What was never read from a store has its rejection as its source.
        source = rejected.source or attrs.evolve(self._store, etag=rejected.id)
        record = Record(rejected.raw, source.line, source.item)
        if rejected.payload_kind == "event":
            event = self._stored_reader.read(record, source)
            event = attrs.evolve(event, source=rejected.source, raw=b"")
        else:
            event = self._reader.read(record, source)
        return attrs.evolve(event, attempts=rejected.attempts + 1, replay_of=rejected.id)

    def _reject(self, rejected: Rejected, fault: RejectRecord) -> beam.pvalue.TaggedOutput:
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
