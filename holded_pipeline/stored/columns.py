"""Events and rejections as rows of a table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from holded_pipeline.model.values import Event, Rejected, Source

_NOW: Final = datetime(1970, 1, 1, tzinfo=UTC)


def columns_of(value: Event | Rejected) -> dict[str, Any]:
    """An event or a rejection as a row of a table: what `to_pandas()` makes of each.

    Beam's interactive `ib.collect` makes one column of any objects but rows, so give it rows.

    Args:
        value: an `Event` or a `Rejected`.

    Returns:
        The values by the columns' names, the same names for each event and for each rejection.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     rows = raw.passed | beam.Map(hp.columns_of)  # in a notebook: ib.collect(rows)

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, Event):
        return _columns_of_event(value)
    if isinstance(value, Rejected):
        return _columns_of_rejected(value)
    raise TypeError(f"columns_of takes an hp.Event or an hp.Rejected, got {type(value).__name__}")


def _columns_of_event(value: Event) -> dict[str, Any]:
    return {
        "id": value.id,
        "type": value.type,
        "company_id": value.company_id,
        "user_id": value.user_id,
        "occurred_at": value.occurred_at,
        "data": dict(value.data),
        "metadata": dict(value.metadata),
        **_source_columns(value.source),
    }


def _columns_of_rejected(value: Rejected) -> dict[str, Any]:
    schema = value.schema
    return {
        "id": value.id,
        "stage": value.stage,
        "reason": value.reason,
        "message": value.message,
        "rejected_at": value.rejected_at,
        "run_id": value.run_id,
        "event_id": value.event_id,
        "event_type": value.event_type,
        **_source_columns(value.source),
        "subject": None if schema is None else schema.subject,
        "schema_version": None if schema is None else schema.version,
        "violations": [f"{each.pointer}: {each.message}" for each in value.violations],
        "attempts": value.attempts,
        "replay_of": value.replay_of,
        "payload_kind": value.payload_kind,
        "raw": value.raw,
    }


def _source_columns(source: Source | None) -> dict[str, Any]:
    if source is None:
        return dict.fromkeys(("bucket", "key", "line", "item"))
    return {"bucket": source.bucket, "key": source.key, "line": source.line, "item": source.item}


COLUMNS_OF_EVENTS: Final = tuple(columns_of(Event("", "", "", _NOW, {})))
COLUMNS_OF_REJECTIONS: Final = tuple(columns_of(Rejected("", "", "", "", b"", _NOW, "")))
