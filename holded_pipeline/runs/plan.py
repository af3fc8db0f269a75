"""plan: what is to be read, in units that can be given to several runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from holded_pipeline.reading.layout import Layout
from holded_pipeline.reading.records_path import RecordsPath
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.read_planner import UNIT_BYTES, UNIT_OBJECTS, OnEmpty, ReadPlanner
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import ReadPlan, ReadUnit, StoredObject

_SPLIT_AT_ONCE = 4


def plan(
    lake: MinIO,
    pattern: str,
    *,
    new_only: Ledger | None = None,
    layout: Layout | None = None,
    records: str | None = None,
    manifest: bool = False,
    on_empty: OnEmpty = "warn",
    unit_bytes: int = UNIT_BYTES,
    unit_objects: int = UNIT_OBJECTS,
) -> ReadPlan:
    """Lists objects once, and plans how several runs read them.

    Each run reads a share of the plan: `ReadMinIO(lake, units=share)`. The arguments are those of `ReadMinIO`, which
    explains them; give `layout` and `records` to both. The plan is in memory: about 300 bytes for each object.

    Args:
        lake: the store and its bucket.
        pattern: a key prefix such as `raw/`, or a glob.
        new_only: a ledger: objects that are settled in it are left out.
        layout: `lines` or `values` if it is known.
        records: where the records are inside each document. Such objects are not split.
        manifest: whether only the objects are planned that manifests name.
        on_empty: what happens if no object matches: `warn`, `fail` or `ignore`.
        unit_bytes: how large a unit is: small objects up to this total, large line files in slices of about this size.
        unit_objects: how many small objects a unit has at most.

    Example:
        >>> planned = hp.plan(lake, "raw/")
        >>> for share in planned.shares(2):
        ...     with beam.Pipeline(runner="FnApiRunner") as p:
        ...         raw = p | hp.ReadMinIO(lake, units=share)
        ...         written = raw.rejected | hp.WriteRejected(lake, "rejected/")

    Raises:
        ValueError: an argument is wrong.
        ConfigurationError: the bucket, the keys or the endpoint are wrong; no object matches, see `on_empty`; a table
            or a grant is missing.
        TransientError: the store or the database did not answer within its `retry`.
    """
    if records is not None:
        RecordsPath.parse(records)
    planner = ReadPlanner(
        lake=lake,
        pattern=pattern,
        layout=layout,
        has_records_path=records is not None,
        on_empty=on_empty,
        unit_bytes=unit_bytes,
        unit_objects=unit_objects,
        manifest=manifest,
        ledger=new_only,
    )
    if new_only is not None:
        new_only.create_tables()
    store = ObjectStore(lake)
    try:
        return _plan_of(planner, store)
    finally:
        store.close()


def _plan_of(planner: ReadPlanner, store: ObjectStore) -> ReadPlan:
    found = list(planner.list_units(store))
    large = [each for each in found if isinstance(each, StoredObject) and each.size]
    empty = [each for each in found if isinstance(each, StoredObject) and not each.size]
    units: list[ReadUnit] = []
    with ThreadPoolExecutor(_SPLIT_AT_ONCE, "plan-minio") as threads:  # each is read to find where its lines end
        split = threads.map(partial(planner.split, store), large)
        for each in found:
            if isinstance(each, ReadUnit):
                units.append(each)
            elif each.size:
                units += next(split)
    return ReadPlan(planner.lake.bucket, planner.pattern, tuple(units), tuple(empty))
