"""From a key pattern, or from a plan, to the read units of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import apache_beam as beam
import attrs

from holded_pipeline.model.object_counts import ObjectCount
from holded_pipeline.reading.key_patterns import glob_regex
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.progress import PLANNED_UNITS
from holded_pipeline.runs.read_planner import ReadPlanner
from holded_pipeline.runs.settled_objects import PAGE, SettledObjects
from holded_pipeline.runs.settlement import RunSettlement
from holded_pipeline.runs.share_results import ShareAttempt
from holded_pipeline.store.planned_objects import keep_objects
from holded_pipeline.store.read_plan import ReadPlan, ReadUnit, StoredObject
from holded_pipeline.transforms.beam.accounted import ReadPrefix
from holded_pipeline.transforms.beam.live_counts import count_live
from holded_pipeline.transforms.beam.store_access import StoreDoFn

EMPTY: Final = "empty"
"""The output with an `ObjectCount` for each new object without a byte, for a ledger."""

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
        attempt: the attempt at a share, if the pipeline is one.
    """

    ledger: Ledger
    run_id: str
    prefix: ReadPrefix
    others: tuple[ReadPrefix, ...] = ()
    attempt: ShareAttempt | None = None

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

    def begin(self) -> None:
        """Creates the ledger's tables, and forgets what an attempt of the run wrote down that died.

        Of a share, whoever placed the shares has done so.
        """
        if self.attempt is not None:
            return
        self.ledger.create_tables()
        RunSettlement(self.ledger.db, self.ledger.name, self.run_id).begin()


class ListObjects(StoreDoFn):
    """Whatever it is given, it lists: read units; objects that are to be split go to the output `LARGE`.

    With a ledger, without the objects that are settled in it; with `manifest`, those that manifests name.
    """

    def __init__(self, planner: ReadPlanner, new_only: NewOnly | None = None) -> None:
        super().__init__(planner.lake)
        self._planner = planner
        self._new_only = new_only

    def process(self, _: object) -> Iterator[Any]:
        if self._new_only is not None:
            self._new_only.begin()
        check = self._new_only.require_one_reader if self._new_only else None
        for found in self._planner.list_units(self._store, check):
            if isinstance(found, ReadUnit):
                count_live(PLANNED_UNITS)
                yield found
            elif found.size:
                yield beam.pvalue.TaggedOutput(LARGE, found)
            elif self._new_only is not None:
                yield _empty_object(self._lake.bucket, found)


class SplitLarge(StoreDoFn):
    """A large object to slices if it is a plain line file, to one unit otherwise."""

    def __init__(self, planner: ReadPlanner) -> None:
        super().__init__(planner.lake)
        self._planner = planner

    def process(self, stored: StoredObject) -> Iterator[ReadUnit]:
        for unit in self._planner.split(self._store, stored):
            count_live(PLANNED_UNITS)
            yield unit


class TakeUnits(beam.DoFn):
    """Whatever it is given, it gives the units of a plan.

    With a ledger, without the objects that were settled in it since the plan was made.
    """

    def __init__(self, plan: ReadPlan, new_only: NewOnly | None = None) -> None:
        self._plan = plan
        self._new_only = new_only

    def process(self, _: object) -> Iterator[Any]:
        plan = self._plan
        if self._new_only is not None:
            self._new_only.begin()
            plan = _without_settled(plan, self._new_only.ledger)
            for stored in plan.empty:
                yield _empty_object(plan.bucket, stored)
        for unit in plan.units:
            count_live(PLANNED_UNITS)
            yield unit


def _without_settled(plan: ReadPlan, ledger: Ledger) -> ReadPlan:
    settled = SettledObjects(ledger.db, ledger.name, plan.bucket)
    try:
        return keep_objects(plan, settled.new_of, at_once=PAGE)
    finally:
        settled.close()


def _empty_object(bucket: str, stored: StoredObject) -> beam.pvalue.TaggedOutput:
    return beam.pvalue.TaggedOutput(EMPTY, ObjectCount(bucket, stored.key, stored.etag, 0))


def plan_reads(
    pipeline: beam.pvalue.PBegin, planned: ReadPlanner | ReadPlan, new_only: NewOnly | None
) -> tuple[beam.PCollection, beam.PCollection]:
    """The read units, and an `ObjectCount` for each empty object if there is a ledger."""
    if isinstance(planned, ReadPlan):
        taken = (
            pipeline
            | "Start" >> beam.Impulse()
            | "TakeUnits" >> beam.ParDo(TakeUnits(planned, new_only)).with_outputs(EMPTY, main="units")
        )
        taken[EMPTY].element_type = ObjectCount
        taken.units.element_type = ReadUnit
        return taken.units, taken[EMPTY]
    tags = (LARGE, EMPTY) if planned.splits else (EMPTY,)
    listed = (
        pipeline
        | "NamePattern" >> beam.Create([planned.pattern])
        | "ListObjects" >> beam.ParDo(ListObjects(planned, new_only)).with_outputs(*tags, main="units")
    )
    listed[EMPTY].element_type = ObjectCount
    listed.units.element_type = ReadUnit
    if not planned.splits:
        return listed.units, listed[EMPTY]
    listed[LARGE].element_type = StoredObject
    split = (
        listed[LARGE]
        | "SpreadLarge" >> beam.Reshuffle()
        | "SplitLarge" >> beam.ParDo(SplitLarge(planned)).with_output_types(ReadUnit)
    )
    return (listed.units, split) | "JoinPlan" >> beam.Flatten(), listed[EMPTY]
