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
        ValueError: it is not a path.
    """
    if not isinstance(text, str) or not text.startswith("/"):
        raise ValueError(f"a field is named by a path below data, such as /contact/email, got {text!r}")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def parse_paths(texts: Iterable[str]) -> tuple[Path, ...]:
    """The parts of several paths, each once, in order.

    Raises:
        ValueError: one of them is not a path; or a text was given instead of a list of texts.
    """
    if isinstance(texts, str):
        raise ValueError(f"paths are given as a list, e.g. [{texts!r}]")  # noqa: TRY004  one kind of error for all
    return tuple(dict.fromkeys(parse_path(text) for text in texts))


def values_at(document: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Every value that a path leads to, with its own JSON Pointer; none where the document has no such field."""
    pending: list[tuple[tuple[str | int, ...], Any, Path]] = [((), document, path)]
    while pending:
        path_so_far, value, rest = pending.pop()
        if not rest:
            yield json_pointer(path_so_far), value
            continue
        members = reversed(list(_members(value, rest[0])))
        pending.extend(((*path_so_far, name), member, rest[1:]) for name, member in members)


def replace_values(document: Any, paths: Iterable[Path], replace: Callable[[Any], Any]) -> Any:
    """A copy of a document in which the values at the paths are replaced; paths that lead nowhere change nothing.

    Each value is replaced once. Where one path leads to a value and another into it, the whole value is replaced.
    """
    return _replace(document, list(paths), replace)


def remove_values(document: Any, paths: Iterable[Path]) -> Any:
    """A copy of a document without the members at the paths; an element of an array becomes null."""
    return _replace(document, list(paths), lambda _: _REMOVED)


class _Removed(enum.Enum):
    REMOVED = 0


_REMOVED: Final = _Removed.REMOVED


def _replace(value: Any, paths: list[Path], replace: Callable[[Any], Any]) -> Any:
    if () in paths:
        return replace(value)
    changed: dict[Any, Any] = {}
    for name, member in {name: member for path in paths for name, member in _members(value, path[0])}.items():
        inner = [path[1:] for path in paths if any(matched == name for matched, _ in _members(value, path[0], name))]
        changed[name] = _replace(member, inner, replace)
    if not changed:
        return value
    if isinstance(value, Mapping):
        merged = {**value, **changed}
        return {name: member for name, member in merged.items() if member is not _REMOVED}
    return [None if (new := changed.get(index, old)) is _REMOVED else new for index, old in enumerate(value)]


def _members(value: Any, part: str, only: Any = None) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        if part in value:
            yield part, value[part]
    elif isinstance(value, _ARRAY):
        if part == EVERY:
            yield from enumerate(value) if only is None else [(only, value[only])]
        elif part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(value):  # noqa: PLR2004  digits
            yield int(part), value[int(part)]
