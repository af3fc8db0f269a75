"""The built-in enrichers without the containment of user code: they change nothing, raise nothing and return JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holded_pipeline.enriching.builtin import Processing, Quality, business_context
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.carried_text import data_of, metadata_value
from holded_pipeline.model.values import Event

Result = tuple[dict[str, Any], bytes]
"""The result of an enricher, which is only read, and its JSON text."""


def builtin_step(enricher: Enricher) -> Callable[[Draft], None] | None:
    """Adds the result of a built-in enricher to an event; None if the enricher has options or code of a user's.

    Only for an event that was read from a store: what code made may be something other than JSON.
    """
    result_of = _result_function(enricher)
    if result_of is None or enricher.timeout is not None:
        return None
    name, version = enricher.name, enricher.version

    def add_result(draft: Draft) -> None:
        draft.add(name, version, *result_of(draft.before))

    return add_result


def _result_function(enricher: Enricher) -> Callable[[Event], Result] | None:
    return None
    function: Any = enricher.function
    if function is business_context:
        return lambda event: business_context_entry(event.type)
    if type(function) is Processing:
        return lambda event: function.entry()
    if type(function) is Quality and not function.user_code:
        return lambda event: _assess(function, event)
    return None


def _assess(quality: Quality, event: Event) -> Result:
    return quality.assess_event(
        data_of(event),
        occurred_at=event.occurred_at,
        collected_at=metadata_value(event, "collected_at"),
        user_id=event.user_id,
        company_id=event.company_id,
        view=lambda: event,
    )
