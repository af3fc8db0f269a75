"""An event while enrichers add to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, Final

import attrs

from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import (
    Entry,
    data_of,
    event_with_dict,
    make_entry,
    metadata_of,
    metadata_value,
    text_member,
    with_entries,
)
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.user_code.errors import result_or_error
from holded_pipeline.user_code.read_only import FrozenDict, read_only

PROVENANCE: Final = "enrichers"
"""The entry of `event.metadata` that says which enrichers ran, their versions, and whether one was skipped."""

_COPIED: Final = ("data", "metadata", "source")  # a view has copies of these, made when user code looks at them
_SHARED: Final = tuple(field.name for field in attrs.fields(Event) if field.name not in _COPIED)
_shared_values = itemgetter(*_SHARED)


class Draft:
    """An event and what enrichers have added to it so far.

    Enrichers get `view`: an event whose data and metadata are read-only copies, made when they are first looked at.
    What is stored is never passed to them. Code in C ignores that a copy is read-only (`heapq.heapify`,
    `list.append(…)`, `object.__setattr__`), so the caller must check `was_changed` after each call; it compares what
    was looked at.
    """

    def __init__(self, event: Event) -> None:
        self.before = event
        self.skipped: list[str] = []
        self._results: dict[str, Entry] = {}
        self._provenance: list[tuple[str, str | None]] = []
        self._errors: dict[str, str] = {}
        self._view: Event | None = None
        self._copies: _Copies | None = None

    def _forget_copies(self) -> None:
        self._view = self._copies = None

    @property
    def view(self) -> Event:
        """The event as the next enricher sees it."""
        if self._view is None:
            fields = dict(zip(_SHARED, _shared_values(self.before.__dict__), strict=True))
            if self._copies is None:
                self._copies = _Copies(self.before)
            fields["_load"] = partial(self._copies.load, self._results.copy())
            self._view = event_with_dict(fields)
        return self._view

    @property
    def was_changed(self) -> bool:
        """Whether the view differs from the event."""
        if self._view is None or self._equals(self._view.__dict__):
            return False
        view = self._view
        self._forget_copies()  # e.g. a tuple in the data does not equal the list that the view has for it
        return result_or_error(lambda fresh: fresh == view, self.view) is not True

    def _equals(self, seen: dict[str, Any]) -> bool:
        """Compares in C, which is fast, since the copies share their strings and numbers with the event."""
        before = self.before
        try:
            same = _shared_values(seen) == _shared_values(before.__dict__)
            if "data" in seen:
                same = same and seen["data"] == data_of(before)
            if "metadata" in seen:
                original = {} if self._copies is None else self._copies.original_metadata
                same = same and seen["metadata"] == {**original, **_values(self._results)}
            if "source" in seen:
                same = same and seen["source"] == before.source
        except KeyboardInterrupt:  # the user's own wish
            raise
        except BaseException:  # noqa: BLE001  a value that user code put in may raise anything
            return False
        return same is True

    def result(self, name: str) -> Any:
        """The result of an enricher, which is only read; None if none was added."""
        entry = self._results.get(name)
        return None if entry is None else entry[0]

    def add(self, name: str, version: str | None, result: dict[str, Any], text: bytes | None = None) -> None:
        """Adds the result of an enricher, and its JSON text if that is known."""
        member = text_member(name, json_codec.encode(result) if text is None else text)
        self.add_entry((name, version), (result, member))

    def add_entry(self, enricher: tuple[str, str | None], entry: Entry) -> None:
        """Adds the result of an enricher, given by its name and version, as an entry of the metadata."""
        self._results[enricher[0]] = entry
        self._provenance.append(enricher)
        self._view = None

    def skip(self, name: str, version: str | None, error: str) -> None:
        """Records that an enricher failed and was skipped. It may have changed the view, or, if it hangs, may yet."""
        if self._results.pop(name, None) is not None:
            self._provenance.remove((name, version))
        self._forget_copies()
        self._provenance.append((name, version))
        self._errors[name] = error
        self.skipped.append(name)

    def event(self) -> Event:
        """The enriched event."""
        earlier = metadata_value(self.before, PROVENANCE)
        if not self._errors and earlier is None:
            entry = provenance_entry(tuple(self._provenance))
        else:
            ran = {name: _enricher_status(version, self._errors.get(name)) for name, version in self._provenance}
            entry = make_entry(PROVENANCE, {**earlier, **ran} if isinstance(earlier, dict) else ran)
        return with_entries(self.before, {**self._results, PROVENANCE: entry})


class _Copies:
    """Read-only copies of an event's data and metadata, made when they are first looked at.

    Views that an enricher may have changed, or may yet if it hangs, do not share them with later views.
    """

    def __init__(self, event: Event) -> None:
        self._event = event
        self._data: Any = None
        self._metadata: Any = None
        self.original_metadata: Mapping[str, Any] = {}

    def load(self, results: Mapping[str, Entry], _: Event, name: str) -> Any:
        """Makes a field of a view.

        Raises:
            RejectRecord: the event is nested too deeply to be copied.
        """
        try:
            if name == "data":
                if self._data is None:
                    self._data = read_only(data_of(self._event))
                return self._data
            if name == "metadata":
                return FrozenDict({**self._read_only_metadata(), **read_only(_values(results))})
        except RecursionError as error:
            raise RejectRecord("too_deep", "the event is nested too deeply to be copied for enrichers") from error
        return self._event.source and attrs.evolve(self._event.source)  # force changes a frozen value, too

    def _read_only_metadata(self) -> Any:
        if self._metadata is None:
            self.original_metadata = metadata_of(self._event)
            self._metadata = read_only(self.original_metadata)
        return self._metadata


def _values(results: Mapping[str, Entry]) -> dict[str, Any]:
    return {name: value for name, (value, _) in results.items()}


def _enricher_status(version: str | None, error: str | None) -> dict[str, Any]:
    if error is None:
        return {"version": version, "status": "ok"}
    return {"version": version, "status": "skipped", "error": error}


@lru_cache(maxsize=256)  # the same for all events of a transform
def provenance_entry(ran: tuple[tuple[str, str | None], ...]) -> Entry:
    """The entry of the metadata that says that these enrichers, given by name and version, all ran well."""
    return make_entry(PROVENANCE, {name: _enricher_status(version, None) for name, version in ran})
