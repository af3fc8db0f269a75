"""The built-in enrichers without the containment of user code: they change nothing, raise nothing and return JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from holded_pipeline.enriching.builtin import Processing, Quality, Result, business_context, business_context_result
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.carried_text import text_member
from holded_pipeline.model.json_codec import encode
from holded_pipeline.model.values import Event

_SAME_TIME = 0.001  # seconds for which the time of processing is not read again


def builtin_step(enricher: Enricher) -> Callable[[Draft], None] | None:
    """Adds the result of a built-in enricher to an event; None if the enricher has options or code of a user's.

    Only for an event that was read from a store: what code made may be something other than JSON.
    """
    result_of = _result_function(enricher)
    if result_of is None or enricher.timeout is not None:
        return None
    ran, member = (enricher.name, enricher.version), text_member(enricher.name, b"")

    def add_result(draft: Draft) -> None:
        result, text = result_of(draft.before)
        draft.add_entry(ran, (result, member + text))

    return add_result


def _result_function(enricher: Enricher) -> Callable[[Event], Result] | None:
    function: Any = enricher.function
    if function is business_context:
        return lambda event: business_context_result(event.type)
    if type(function) is Processing and function.has_default_clock:
        return _ProcessingResults(function).result
    if type(function) is Quality and not function.user_code:
        return function.result_function()
    return None


class _ProcessingResults:
    """What `Processing` returns; the clock is read once a millisecond."""

    def __init__(self, processing: Processing) -> None:
        self._processing = processing
        self._read = float("-inf")

    def result(self, event: Event) -> Result:
        now = time.monotonic()
        if now - self._read >= _SAME_TIME:
            self._read = now
            result = self._processing(event)
            self._result = result, encode(result)
        return self._result
