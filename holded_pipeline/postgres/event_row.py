"""An event as a row of `business_events`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from holded_pipeline.model.business_context import business_context_of
from holded_pipeline.model.values import Event


def event_row(event: Event) -> dict[str, Any]:
    """The columns of `business_events` that an event fills.

    The business context and the quality score are the results of the enrichers `business_context` and `quality` in
    the metadata. Without them the context comes from the type, and the score is NULL.
    """
    return {
        "event_id": event.id,
        "event_type": event.type,
        "company_id": event.company_id,
        "user_id": event.user_id,
        "occurred_at": event.occurred_at,
        "business_context": _enricher_result(event, "business_context", "context") or business_context_of(event.type),
        "data_quality_score": _enricher_result(event, "quality", "score"),
        "data": dict(event.data),
        "metadata": dict(event.metadata),
        "source": None if event.source is None else attrs.asdict(event.source),
    }


def _enricher_result(event: Event, enricher: str, name: str) -> Any:
    result = event.metadata.get(enricher)
    return result.get(name) if isinstance(result, Mapping) else None
