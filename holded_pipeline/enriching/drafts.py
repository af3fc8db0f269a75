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
"""The entry of `event.metadata` that says which enrichers ran, their versions, and whether one was skipped."""


_FIELDS: Final = tuple(field.name for field in attrs.fields(Event))
_DATA, _METADATA, _SOURCE = (_FIELDS.index(name) for name in ("data", "metadata", "source"))
_all_values = attrgetter(*_FIELDS)
_other_fields = attrgetter(*(name for name in _FIELDS if name not in ("data", "metadata")))


class Draft:
    """An event and what enrichers have added to it so far.

    Enrichers get `view`: a copy with read-only data and metadata. What is stored is never passed to them. Code in C
    ignores that the copy is read-only (`heapq.heapify`, `list.append(…)`, `object.__setattr__`), so the caller must
    check `was_changed` after each call.

    Raises:
        RejectRecord: the event is nested too deeply to be copied.
    """

    def __init__(self, event: Event) -> None:
        self.before = event
        self.skipped: list[str] = []
        self._results: dict[str, Any] = {}
        self._provenance: dict[str, Any] = {}
        self._copy_original()

    def _copy_original(self) -> None:
        try:
            self._data = read_only(self.before.data)
            self._metadata: dict[str, Any] = read_only(self.before.metadata)
        except RecursionError as error:
            raise RejectRecord("too_deep", "the event is nested too deeply to be copied for enrichers") from error
        self._source = self.before.source and attrs.evolve(self.before.source)  # force changes a frozen value, too
        self._view: Event | None = None

    @property
    def view(self) -> Event:
        """The event as the next enricher sees it."""
        if self._view is None:
            metadata = {**self._metadata, **read_only(self._results)} if self._results else self._metadata
            self._view = _with_contents(self.before, self._data, FrozenDict(metadata), self._source)
        return self._view

    @property
    def was_changed(self) -> bool:
        """Whether the view differs from the event."""
        view = self._view
        if view is None or self._equals(view):
            return False
        self._copy_original()  # e.g. a tuple in the data does not equal the list that the view has for it
        return result_or_error(lambda fresh: fresh == view, self.view) is not True

    def _equals(self, view: Event) -> bool:
        """Compares in C, which is fast, since the copy shares its strings and numbers with the event."""
        before = self.before
        metadata = {**before.metadata, **self._results} if self._results else before.metadata
        try:
            same = (
                view.data == before.data and view.metadata == metadata and _other_fields(view) == _other_fields(before)
            )
        except KeyboardInterrupt:  # the user's own wish
            raise
        except BaseException:  # noqa: BLE001  a value that user code put in may raise anything
            return False
        return same is True

    def result(self, name: str) -> Any:
        """The result of an enricher; None if none was added."""
        return self._results.get(name)

    def add(self, name: str, version: str | None, result: dict[str, Any]) -> None:
        """Adds the result of an enricher."""
        self._results[name] = result
        self._provenance[name] = {"version": version, "status": "ok"}
        self._view = None

    def skip(self, name: str, version: str | None, error: str) -> None:
        """Records that an enricher failed and was skipped. It may have changed the view, or, if it hangs, may yet."""
        self._results.pop(name, None)
        self._copy_original()
        self._provenance[name] = {"version": version, "status": "skipped", "error": error}
        self.skipped.append(name)

    def event(self) -> Event:
        """The enriched event."""
        metadata = {**self.before.metadata, **self._results}
        earlier = metadata.get(PROVENANCE)
        metadata[PROVENANCE] = {**earlier, **self._provenance} if isinstance(earlier, dict) else self._provenance
        return _with_contents(self.before, self.before.data, metadata, self.before.source)


def _with_contents(event: Event, data: Any, metadata: Any, source: Source | None) -> Event:
    """The event with other contents; every other field stays. `attrs.evolve` takes three times as long."""
    values = list(_all_values(event))
    values[_DATA], values[_METADATA], values[_SOURCE] = data, metadata, source
    return Event(*values)
