"""An event while enrichers add to it."""

from __future__ import annotations

from typing import Any, Final

import attrs

from holded_pipeline.core.errors import RejectRecord
from holded_pipeline.core.read_only import FrozenDict, read_only
from holded_pipeline.core.values import Event, Source

PROVENANCE: Final = "enrichers"
"""The entry of `event.metadata` that tells which enrichers ran, their versions, and how it went."""


class Draft:
    """An event and what enrichers have added to it so far.

    Enrichers see `view`: a copy whose data and metadata cannot be changed. What is stored is never within their reach.

    Raises:
        RejectRecord: the event is nested too deep to be copied.
    """

    def __init__(self, event: Event) -> None:
        self.before = event
        self.skipped: list[str] = []
        self._learned: dict[str, Any] = {}
        self._ran: dict[str, Any] = {}
        try:
            self._data = read_only(event.data)
            self._known: dict[str, Any] = read_only(event.metadata)
        except RecursionError as error:
            raise RejectRecord("too_deep", "the event is nested too deep for enrichers to be shown it") from error
        self._view: Event | None = None

    @property
    def view(self) -> Event:
        """The event as the next enricher sees it."""
        if self._view is None:
            known = {**self._known, **read_only(self._learned)} if self._learned else self._known
            source = self.before.source and attrs.evolve(self.before.source)  # force changes a frozen value, too
            self._view = _with(self.before, self._data, FrozenDict(known), source)
        return self._view

    def result(self, name: str) -> Any:
        """What an enricher returned; None if it returned nothing."""
        return self._learned.get(name)

    def add(self, name: str, version: str | None, result: dict[str, Any]) -> None:
        """Adds what an enricher returned."""
        self._learned[name] = result
        self._ran[name] = {"version": version, "status": "ok"}
        self._view = None

    def skip(self, name: str, version: str | None, error: str) -> None:
        """Notes that an enricher failed and was skipped."""
        self._ran[name] = {"version": version, "status": "skipped", "error": error}
        self.skipped.append(name)

    def event(self) -> Event:
        """The enriched event."""
        metadata = {**self.before.metadata, **self._learned}
        earlier = metadata.get(PROVENANCE)
        metadata[PROVENANCE] = {**earlier, **self._ran} if isinstance(earlier, dict) else self._ran
        return _with(self.before, self.before.data, metadata, self.before.source)


def _with(event: Event, data: Any, metadata: Any, source: Source | None) -> Event:
    """The event with other contents; `attrs.evolve` takes three times as long."""
    return Event(
        id=event.id,
        type=event.type,
        company_id=event.company_id,
        occurred_at=event.occurred_at,
        data=data,
        user_id=event.user_id,
        metadata=metadata,
        source=source,
        raw=event.raw,
        attempts=event.attempts,
        replay_of=event.replay_of,
    )
