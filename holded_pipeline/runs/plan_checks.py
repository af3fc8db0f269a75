"""Whether a plan fits the step that is to read it."""

from __future__ import annotations

from typing import Any

from holded_pipeline.reading.layout import Layout
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.planned_objects import incomplete_objects, split_object
from holded_pipeline.store.read_plan import ReadPlan


def require_fitting_plan(
    plan: Any, lake: MinIO, *, layout: Layout | None, has_records_path: bool, ledger: Ledger | None
) -> ReadPlan:
    """Returns a plan that may be read like that.

    Raises:
        TypeError: it is no plan.
        ValueError: it is of another bucket, cuts objects that must be read as a whole, or has only a part of an object
            that a ledger would settle.
    """
    if not isinstance(plan, ReadPlan):
        raise TypeError(
            f"units must be a ReadPlan, got {type(plan).__name__}; pass what hp.plan(lake, ...) returned, or one of "
            "its shares: hp.plan(lake, ...).shares(4)[0]"
        )
    if plan.bucket != lake.bucket:
        raise ValueError(f"units is a plan of the bucket {plan.bucket!r}, but the store's is {lake.bucket!r}")
    split = split_object(plan)
    if split is not None and (has_records_path or layout == "values"):
        option = "records" if has_records_path else 'layout="values"'
        raise ValueError(f"units cuts {split!r} between lines, which {option} does not allow; give {option} to hp.plan")
    if ledger is not None and not plan.is_settled_with_others:
        for key, (planned, size) in incomplete_objects(plan).items():
            raise ValueError(
                f"units has only {planned:,} of the {size:,} bytes of {key!r}, so a run with a ledger cannot settle "
                "it; divide the plan with .shares(n, whole_objects=True)"
            )
    return plan
