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

_other_fields = attrgetter(*(field.name for field in attrs.fields(Event) if field.name not in ("data", "metadata")))


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
            self._view = _with(self.before, self._data, FrozenDict(metadata), self._source)
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
