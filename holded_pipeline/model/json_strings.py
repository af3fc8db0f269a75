"""What strings of JSON may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def has_surrogate(string: str) -> bool:
    """Whether it contains half of a UTF-16 pair alone, which UTF-8 cannot encode."""
    return any("\ud800" <= character <= "\udfff" for character in string)


def strings_of(value: Any) -> Iterator[str]:
    """Every string in a JSON value, names of objects included."""
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, dict):
            pending.extend(current.keys())
            pending.extend(current.values())
        elif isinstance(current, list | tuple):
            pending.extend(current)


def is_storable(text: str) -> bool:
    """Whether JSON and PostgreSQL can store a text: it has no U+0000 and no lone surrogate."""
    return "\0" not in text and not has_surrogate(text)
