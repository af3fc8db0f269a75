"""The event of a record that is read quickly: in C where that is built, else in Python."""

from __future__ import annotations

from typing import Final

from holded_pipeline.compiled import compiled
from holded_pipeline.model.carried_text import Position
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.model.timestamp_rules import Timestamps
from holded_pipeline.model.values import Event
from holded_pipeline.reading.common_message import read_common_message

_in_c: Final = compiled("common_message")


def read_common_record(
    raw: bytes, position: Position, package_ids: PackageIds, max_depth: int, timestamps: Timestamps
) -> Event | None:
    """The event of a common message; None if it has to be read by the careful way. See `read_common_message`."""
    if _in_c is not None:
        event: Event | None = _in_c.read_common_message(raw, position, package_ids, max_depth, timestamps)
        if event is not None:
            return event
    return read_common_message(raw, position, package_ids, max_depth, timestamps)
