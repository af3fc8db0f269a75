"""JSON Pointers (RFC 6901): the position of a value in a document."""

from __future__ import annotations

from collections.abc import Iterable


def json_pointer(path: Iterable[str | int]) -> str:
    """The pointer to the value that the names and indices of `path` lead to, e.g. `/lines/0/net~1gross`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
