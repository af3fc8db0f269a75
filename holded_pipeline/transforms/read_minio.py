"""ReadMinIO: reads the events of a store."""

from __future__ import annotations

from typing import Literal

import apache_beam as beam
import attrs

from holded_pipeline.model.object_counts import ObjectCount
from holded_pipeline.model.timestamp_rules import Timestamps
from holded_pipeline.model.values import Event, Outcome
from holded_pipeline.plugins.registry import PluginRegistry, default_registry
from holded_pipeline.reading.envelopes import Envelope
from holded_pipeline.reading.layout import Layout
from holded_pipeline.reading.records import RecordReader, describe_envelope
from holded_pipeline.reading.records_path import RecordsPath
from holded_pipeline.runs.ledger import Ledger, require_ledger
from holded_pipeline.runs.plan_checks import require_fitting_plan
from holded_pipeline.runs.read_planner import UNIT_BYTES, UNIT_OBJECTS, OnEmpty, ReadPlanner, require_choice
from holded_pipeline.store.minio import MinIO, require_minio
from holded_pipeline.store.read_plan import ReadPlan
from holded_pipeline.store.shards import Shard
from holded_pipeline.transforms.beam.accounted import READ, ReadPrefix, other_prefixes, remember_counts, remember_prefix
from holded_pipeline.transforms.beam.event_batches import passes_batches
from holded_pipeline.transforms.beam.inputs import require_beginning
from holded_pipeline.transforms.beam.local_workers import number_of_workers
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_picklable
from holded_pipeline.transforms.beam.recorded_runs import record_run
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.beam.share_of_run import attempt_of, require_fitting_share
from holded_pipeline.transforms.beam.unread_outputs import require_settled
from holded_pipeline.transforms.workers.following_units import PairWithFollowing, UnitAndFollowing
from holded_pipeline.transforms.workers.plan_reads import NewOnly, plan_reads
from holded_pipeline.transforms.workers.read_in_batches import ReadUnitsInBatches
from holded_pipeline.transforms.workers.read_units import (
    READ_OBJECTS,
    ReadUnits,
    RejectedObjects,
)


class ReadMinIO(RejectingTransform[Event]):
    """Reads the events under a prefix of any S3-compatible store.

    Objects may hold JSON lines, JSON arrays or single documents, plain, gzip, zstd, bzip2 or xz, in any mixture.
    Applied to a pipeline it gives an `Outcome`: `passed` is a PCollection of `Event` with event-time timestamps,
    `rejected` one of `Rejected` with stage `read`.

    Args:
        lake: the store and its bucket.
        pattern: a key prefix such as `raw/`, or a glob: `*` and `?` stay within one level, `**` does not.
        units: instead of `pattern`, a plan that `hp.plan` made, or a share of it: just its units are read, without a
            listing. What says how to plan (`on_empty`, `unit_bytes`, `unit_objects`, `manifest`) was given to `plan`.
        shard: `(i, n)`: this is run `i` of `n`, counted from 0, which divide the objects among them. Each object has
            one owner whatever the moment of the listing; without `new_only` plain line files above `unit_bytes` are
            divided, too. All `n` runs are given the same other arguments.
        envelope: how a JSON document becomes an event: `holded`, `flat`, `event` (what `WriteMinIO` wrote), the
            name of one that a plugin registered, or a function `(document, source) -> Event`.
        layout: `lines` (a record a line) or `values` (JSON values over any number of lines) if it is known; None finds
            it in each object's key and first bytes.
        records: where the records are inside each document, as a JSON Pointer whose last part is `*`: `/Records/*` for
            `{"Records": [...]}`. An envelope with a parameter `outer` is given the other members of the document. A
            document without the array is rejected with reason `missing_field`. None: each document is a record.
        on_empty: what happens if no object matches: `warn` logs a warning, `fail` fails the run, `ignore` says nothing.
        on_vanished: what happens if an object is deleted or overwritten between listing and reading: `fail` fails the
            run, `reject` rejects the object with reason `object_vanished`.
        on_unreadable: what happens if the store does not give out an object (archived, encrypted with a key out of
            reach, not granted): `fail` fails the run, `reject` rejects the object with reason `object_unreadable`.
        unit_bytes: how many bytes a worker reads at a time: small objects up to this total, large line files in
            slices of about this size. None: 16 MiB, and with `FnApiRunner` large line files as a whole if there are
            enough of them for all its workers: one worker needs none, several need four files of their share each.
        unit_objects: how many small objects a worker reads at a time, at most.
        max_record_bytes: a larger record is rejected with reason `record_too_large`; with the envelope `event`, whose
            records were accepted before, one above 64 MiB.
        max_depth: a more deeply nested record is rejected with reason `too_deep`; the envelope `event` accepts two
            levels more, which the stored form adds.
        timestamps: the unit of timestamps that are numbers, and which times are rejected with reason
            `implausible_timestamp`; by default milliseconds, and times before 1980, with the envelope `event` none.
        manifest: whether only the objects are read that manifests below `pattern` name, those of runs that
            `SettleObjects` settled; what attempts that died have left is not. `pattern` is then the prefix that
            `WriteMinIO` was given.
        new_only: a ledger: objects that are settled in it are left out. What becomes of the others is to be given to
            `SettleObjects` with the same ledger.
        registry: where names of envelopes are looked up; by default the installed plugins'.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/**/*.jsonl*")
        ...     checked = raw.passed | hp.ValidateSchema(schemas, subject="{type}")
        ...     written = (raw.rejected, checked.rejected) | hp.WriteRejected(lake, "rejected/")

    Raises:
        ValueError: an argument is wrong, or no envelope has that name; the message lists the known ones.
        ConfigurationError: (applying) the envelope cannot be pickled, or two steps read one prefix with one ledger;
            (running) the bucket, the keys or the endpoint are wrong; no object matches, see `on_empty`; or two steps
            would read one new object with one ledger.
        ObjectVanishedError: (running) see `on_vanished`.
        ObjectUnreadableError: (running) see `on_unreadable`.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** each record of each listed object comes out once per attempt of its bundle, as an event or as
    a rejection with its object, version and a position of its own. Objects are read at the version that was listed.
    No order.
    Listing is sequential; reading runs in parallel over units, of which only the addresses are shuffled. A plain
    line file that is read in slices is read twice: once to find the ends of its lines; so is a compressed object above
    4 MiB with more than 8 MiB of text: once to check that it is complete. With `records` documents are streamed, not
    held, and an object is not split; it is read twice if the envelope has `outer`. A damaged compressed object is one
    rejection, since none of its text can be trusted.
    """

    def __init__(
        self,
        lake: MinIO,
        pattern: str | None = None,
        *,
        units: ReadPlan | None = None,
        shard: tuple[int, int] | None = None,
        envelope: str | Envelope = "holded",
        layout: Layout | None = None,
        records: str | None = None,
        on_empty: OnEmpty = "warn",
        on_vanished: Literal["fail", "reject"] = "fail",
        on_unreadable: Literal["fail", "reject"] = "fail",
        unit_bytes: int | None = None,
        unit_objects: int = UNIT_OBJECTS,
        max_record_bytes: int = 16 << 20,
        max_depth: int = 100,
        timestamps: Timestamps | None = None,
        manifest: bool = False,
        new_only: Ledger | None = None,
        registry: PluginRegistry | None = None,
    ) -> None:
        super().__init__()
        require_minio(lake, "ReadMinIO")
        if new_only is not None:
            require_ledger(new_only, "ReadMinIO(new_only=…)")
        require_choice("on_vanished", on_vanished, "fail", "reject")
        require_choice("on_unreadable", on_unreadable, "fail", "reject")
        require_choice("layout", layout, "lines", "values", None)
        if isinstance(pattern, ReadPlan):
            raise TypeError("a plan is no prefix or pattern; write hp.ReadMinIO(lake, units=plan)")
        if (pattern is None) == (units is None):
            raise ValueError("ReadMinIO takes a prefix or pattern, or units=hp.plan(...), and not both")
        if shard is not None and units is not None:
            raise ValueError("give shard or units, not both: hp.plan(...).shares(n)[i] is a share of a plan")
        self._shard = None if shard is None else Shard.of(shard)
        self._lake = lake
        self._layout = layout
        self._records = None if records is None else RecordsPath.parse(records)
        self._new_only = new_only
        has_path = self._records is not None
        self._planned = (
            require_fitting_plan(units, lake, layout=layout, has_records_path=has_path, ledger=new_only)
            if pattern is None
            else ReadPlanner(
                lake=lake,
                pattern=pattern,
                layout=layout,
                has_records_path=has_path,
                on_empty=on_empty,
                unit_bytes=UNIT_BYTES if unit_bytes is None else unit_bytes,
                unit_objects=unit_objects,
                manifest=manifest,
                ledger=new_only,
                shard=self._shard,
            )
        )
        self._splits_anyway = unit_bytes is not None or shard is not None
        choices: dict[Literal["vanished", "unreadable"], str] = {"vanished": on_vanished, "unreadable": on_unreadable}
        self._rejected_objects: RejectedObjects = frozenset(what for what in choices if choices[what] == "reject")
        self._envelope = envelope
        resolved = (registry or default_registry()).envelope(envelope)
        self._reader = RecordReader(
            resolved,
            max_record_bytes=max_record_bytes,
            max_depth=max_depth,
            timestamps=timestamps,
            records=self._records,
        )

    def expand(self, pipeline: beam.pvalue.PBegin) -> Outcome:
        """Lists, plans, shuffles the plan, reads."""
        require_beginning(pipeline, "ReadMinIO")
        check_picklable(self._reader, describe_envelope(self._envelope), of=self._envelope)
        run_id, step = run_id_of(pipeline.pipeline), step_of(pipeline.pipeline)
        if self._new_only is not None:
            require_fitting_share(pipeline.pipeline, self._planned)
        new_only = self._new_objects(pipeline.pipeline, self._new_only, run_id) if self._new_only else None
        planned, empty = plan_reads(pipeline, self._plan_for(pipeline.pipeline), new_only)
        kind = ReadUnitsInBatches if passes_batches(pipeline.pipeline) else ReadUnits
        read_units = kind(
            self._lake,
            self._reader,
            self._rejected_objects,
            run_id=run_id,
            step=step,
            layout=self._layout,
            records=self._records,
        )
        outputs = (
            planned
            | "SpreadPlan" >> beam.Reshuffle()
            | "PairWithFollowing" >> beam.ParDo(PairWithFollowing()).with_output_types(UnitAndFollowing)
            | "ReadUnits" >> beam.ParDo(read_units).with_outputs(REJECTED, READ_OBJECTS, main=PASSED)
        )
        outputs[READ_OBJECTS].element_type = ObjectCount
        if new_only is not None:
            ledger = new_only.ledger
            remember_prefix(outputs[READ_OBJECTS], new_only.prefix)
            remember_counts(READ, new_only.prefix.ledger, outputs[READ_OBJECTS])
            remember_counts(READ, new_only.prefix.ledger, empty)
            shard = {"shard": str(self._shard)} if self._shard else {}
            record_run(pipeline.pipeline, ledger.db, ledger.name, arguments=shard, creates_tables=ledger.migrate)
            require_settled(outputs[READ_OBJECTS], ledger.name)
        outcome: Outcome = self._outcome(outputs[PASSED], outputs[REJECTED], Event)
        return outcome

    def _plan_for(self, pipeline: beam.Pipeline) -> ReadPlanner | ReadPlan:
        """What is read, without dividing more files than the workers need: that takes a look at each line."""
        if isinstance(self._planned, ReadPlan) or self._splits_anyway:
            return self._planned
        return attrs.evolve(self._planned, workers=number_of_workers(pipeline))

    def _new_objects(self, pipeline: beam.Pipeline, ledger: Ledger, run_id: str) -> NewOnly:
        place = self._lake.endpoint, self._lake.bucket
        prefix = ReadPrefix(step_of(pipeline), (ledger.db.url, ledger.name), place, self._planned.pattern)
        return NewOnly(ledger, run_id, prefix, other_prefixes(pipeline, prefix), attempt_of(pipeline))
