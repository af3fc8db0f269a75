"""An event while enrichers add to it."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final

import attrs

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Source
from holded_pipeline.user_code.errors import result_or_error
from holded_pipeline.user_code.read_only import FrozenDict, read_only

PROVENANCE: Final = "enrichers"
"""The entry of `event.metadata` that tells which enrichers ran, their versions, and how it went."""


_FIELDS: Final = tuple(field.name for field in attrs.fields(Event))
_DATA, _METADATA, _SOURCE = (_FIELDS.index(name) for name in ("data", "metadata", "source"))
_all_values = attrgetter(*_FIELDS)
_others = attrgetter(*(name for name in _FIELDS if name not in ("data", "metadata")))


class Draft:
    """An event and what enrichers have added to it so far.

    Enrichers see `view`: a copy whose data and metadata refuse to be changed. What is stored is never within their
    reach. Code in C does not ask (`heapq.heapify`, `list.append(…)`, `object.__setattr__`), so whoever calls one has to
    look at `was_changed` after it.

    Raises:
        RejectRecord: the event is nested too deep to be copied.
    """

    def __init__(self, event: Event) -> None:
        self.before = event
        self.skipped: list[str] = []
        self._learned: dict[str, Any] = {}
        self._ran: dict[str, Any] = {}
        self._copy()

    def _copy(self) -> None:
        try:
            self._data = read_only(self.before.data)
            self._known: dict[str, Any] = read_only(self.before.metadata)
        except RecursionError as error:
            raise RejectRecord("too_deep", "the event is nested too deep for enrichers to be shown it") from error
        self._source = self.before.source and attrs.evolve(self.before.source)  # force changes a frozen value, too
        self._view: Event | None = None

    @property
    def view(self) -> Event:
        """The event as the next enricher sees it."""
        if self._view is None:
            known = {**self._known, **read_only(self._learned)} if self._learned else self._known
            self._view = _with_contents(self.before, self._data, FrozenDict(known), self._source)
        return self._view

    @property
    def was_changed(self) -> bool:
        """Whether the view is not what the event holds any more."""
        view = self._view
        if view is None or self._is_shown_by(view):
            return False
        self._copy()  # a tuple in the event's data, say, is not equal to the list that it is shown as
        return result_or_error(lambda fresh: fresh == view, self.view) is not True

    def _is_shown_by(self, view: Event) -> bool:
        """Equality in C, which is quick: the copy has the very strings and numbers that the event has."""
        before = self.before
        known = {**before.metadata, **self._learned} if self._learned else before.metadata
        try:
            same = view.data == before.data and view.metadata == known and _others(view) == _others(before)
        except KeyboardInterrupt:  # the user's own wish
            raise
        except BaseException:  # noqa: BLE001  what a stranger put in may raise anything
            return False
        return same is True

    def result(self, name: str) -> Any:
        """What an enricher returned; None if it returned nothing."""
        return self._learned.get(name)

    def add(self, name: str, version: str | None, result: dict[str, Any]) -> None:
        """Adds what an enricher returned."""
        self._learned[name] = result
        self._ran[name] = {"version": version, "status": "ok"}
        self._view = None

    def skip(self, name: str, version: str | None, error: str) -> None:
        """Notes that an enricher failed and was skipped. It may have changed the view, or, if it hangs, do so yet."""
        self._copy()
        self._ran[name] = {"version": version, "status": "skipped", "error": error}
        self.skipped.append(name)

    def event(self) -> Event:
        """The enriched event."""
        metadata = {**self.before.metadata, **self._learned}
        earlier = metadata.get(PROVENANCE)
        metadata[PROVENANCE] = {**earlier, **self._ran} if isinstance(earlier, dict) else self._ran
        return _with_contents(self.before, self.before.data, metadata, self.before.source)


def _with_contents(event: Event, data: Any, metadata: Any, source: Source | None) -> Event:
    """The event with other contents; every other field stays. `attrs.evolve` takes three times as long."""
    values = list(_all_values(event))
    values[_DATA], values[_METADATA], values[_SOURCE] = data, metadata, source
    return Event(*values)
