"""The built-in enrichers without the containment of user code: they change nothing, raise nothing and return JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from holded_pipeline.enriching.builtin import Processing, Quality, business_context
from holded_pipeline.enriching.drafts import PROVENANCE, Draft, provenance_entry
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.business_context import aggregate_of, business_context_of
from holded_pipeline.model.carried_text import Entry, make_entry, with_entries
from holded_pipeline.model.values import Event

_SAME_TIME = 0.05  # seconds for which the clock is not read again: the time of a batch of events

EntryFunction = Callable[[Event], Entry]
"""Gives the entry that an enricher adds to the metadata of an event."""


def builtin_step(enricher: Enricher) -> Callable[[Draft], None] | None:
    """Adds the result of a built-in enricher to an event; None if the enricher has options or code of a user's.

    Only for an event that was read from a store: what code made may be something other than JSON.
    """
    entry_of = _entry_function(enricher)
    if entry_of is None:
        return None
    ran = enricher.name, enricher.version
    return lambda draft: draft.add_entry(ran, entry_of(draft.before))


class BuiltinChain:
    """Enrichers that are all built in: their entries are added at once."""

    def __init__(self, entries: Sequence[tuple[str, EntryFunction]], provenance: Entry) -> None:
        self._entries = entries
        self._provenance = provenance

    @classmethod
    def of(cls, enrichers: Sequence[Enricher]) -> BuiltinChain | None:
        """The chain; None if one of them has options or code of a user's, or may reject events."""
        entries = []
        for enricher in enrichers:
            entry_of = _entry_function(enricher)
            if entry_of is None or getattr(enricher.function, "reject_if", None) is not None:
                return None
            entries.append((enricher.name, entry_of))
        return cls(entries, provenance_entry(tuple((each.name, each.version) for each in enrichers)))

    def can_enrich(self, event: Event) -> bool:
        """Whether the event is as it was read, and no enricher ran before."""
        fields = event.__dict__
        was_looked_at = "data" in fields or "metadata" in fields
        return not was_looked_at and "_data" in fields and PROVENANCE not in fields.get("_entries", (PROVENANCE,))

    def enrich(self, event: Event) -> Event:
        """The event with the entries of all enrichers."""
        added = {name: entry_of(event) for name, entry_of in self._entries}
        added[PROVENANCE] = self._provenance
        return with_entries(event, added)


def _entry_function(enricher: Enricher) -> EntryFunction | None:
    function: Any = enricher.function
    if enricher.timeout is not None:
        return None
    if function is business_context:
        return _business_context_entries(enricher.name)
    if type(function) is Processing and function.has_default_clock:
        return _ProcessingEntries(enricher.name, function).entry
    if type(function) is Quality and not function.user_code:
        return function.entry_function(enricher.name)
    return None


def _business_context_entries(name: str) -> EntryFunction:
    @lru_cache(maxsize=4096)  # a run has few types, each many times
    def entry_of_type(event_type: str) -> Entry:
        return make_entry(name, {"context": business_context_of(event_type), "aggregate": aggregate_of(event_type)})

    return lambda event: entry_of_type(event.type)


class _ProcessingEntries:
    """What `Processing` returns; the events of a batch share it."""

    def __init__(self, name: str, processing: Processing) -> None:
        self._name = name
        self._processing = processing
        self._read = float("-inf")

    def entry(self, event: Event) -> Entry:
        now = time.monotonic()
        if now - self._read >= _SAME_TIME:
            self._read = now
            self._entry = make_entry(self._name, self._processing(event))
        return self._entry
