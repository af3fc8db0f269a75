"""What is held of an event while it is loaded: it may still be rejected."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from holded_pipeline.model.carried_text import ReadObject, event_with_dict, load_field
from holded_pipeline.model.values import Event, Source

_HELD = ("id", "type", "company_id", "occurred_at", "user_id", "raw", "attempts", "replay_of", "_position")
_held_values = itemgetter(*_HELD)


def held_for_rejection(event: Event) -> Any:
    """What is held of an event for as long as it may still be rejected; `event_of_held` makes an event of it.

    Its record says what its data are, so they are not held: they would take memory several times, and many small
    objects keep Python's garbage collector busy.
    """
    fields = event.__dict__
    return _held_values(fields) if "_position" in fields and fields["raw"] else event


def object_of_held(held: Any) -> ReadObject | Source | None:
    """The object that the event was read from."""
    if isinstance(held, Event):
        return held.source
    read_object: ReadObject = held[-1][0]
    return read_object


def event_of_held(held: Any) -> Event:
    """The event, for a rejection: if it has its record, the record stands for its data and metadata."""
    if isinstance(held, Event):
        return held
    return event_with_dict({**dict(zip(_HELD, held, strict=True)), "_load": _load_held})


def _load_held(event: Event, name: str) -> Any:
    if name != "source":
        raise AttributeError(f"the event is held without its {name}; its record is in `raw`")
    return load_field(event, name)
