"""Fields of a document, named by a path such as `/contact/email` or `/lines/*/email`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from holded_pipeline.model.json_pointer import json_pointer

Path = tuple[str, ...]
EVERY: Final = "*"
"""The part of a path that means every element of an array."""

_ARRAY = (list, tuple)


def parse_path(text: Any) -> Path:
    """The parts of a path: a JSON Pointer (RFC 6901, `~1` for `/`) in which `*` means every element of an array.

    Raises:
        ValueError: it is no path.
    """
    if not isinstance(text, str) or not text.startswith("/"):
        raise ValueError(f"a field is named by a path below data, such as /contact/email, got {text!r}")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def parse_paths(texts: Iterable[str]) -> tuple[Path, ...]:
    """The parts of several paths, each once, in order.

    Raises:
        ValueError: one of them is no path; or a text was given instead of a list of texts.
    """
    if isinstance(texts, str):
        raise ValueError(f"paths are given as a list, e.g. [{texts!r}]")  # noqa: TRY004  one kind of error for all
    return tuple(dict.fromkeys(parse_path(text) for text in texts))


def values_at(document: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Every value that a path leads to, with its own JSON Pointer; none where the document has no such field."""
    pending: list[tuple[tuple[str | int, ...], Any, Path]] = [((), document, path)]
    while pending:
        place, value, rest = pending.pop()
        if not rest:
            yield json_pointer(place), value
            continue
        members = reversed(list(_members(value, rest[0])))
        pending.extend(((*place, name), member, rest[1:]) for name, member in members)


def replace_values(document: Any, paths: Iterable[Path], replace: Callable[[Any], Any]) -> Any:
    """A copy of a document in which the values that the paths lead to are others; what has no such field stays.

    Each value is replaced once, as it was; of two paths the one that leads to more counts.
    """
    return _replaced(document, list(paths), replace)


def remove_values(document: Any, paths: Iterable[Path]) -> Any:
    """A copy of a document without the members that the paths lead to; an element of an array becomes null."""
    return _replaced(document, list(paths), lambda _: _GONE)


class _Gone(enum.Enum):
    GONE = 0


_GONE: Final = _Gone.GONE


def _replaced(value: Any, paths: list[Path], replace: Callable[[Any], Any]) -> Any:
    if () in paths:
        return replace(value)
    changed: dict[Any, Any] = {}
    for name, member in {name: member for path in paths for name, member in _members(value, path[0])}.items():
        inner = [path[1:] for path in paths if any(found == name for found, _ in _members(value, path[0], name))]
        changed[name] = _replaced(member, inner, replace)
    if not changed:
        return value
    if isinstance(value, Mapping):
        together = {**value, **changed}
        return {name: member for name, member in together.items() if member is not _GONE}
    return [None if (new := changed.get(place, old)) is _GONE else new for place, old in enumerate(value)]


def _members(value: Any, part: str, only: Any = None) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        if part in value:
            yield part, value[part]
    elif isinstance(value, _ARRAY):
        if part == EVERY:
            yield from enumerate(value) if only is None else [(only, value[only])]
        elif part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(value):  # noqa: PLR2004  digits
            yield int(part), value[int(part)]
