"""Which documents are checked in this process, by their size and their schema, and what the check of others may cost.

The Rust validator cannot be interrupted, and it keeps every other Python thread waiting. Most schemas take it some
nanoseconds for each value of a document. Others multiply: each value is compared with each object of an enum, each
branch of an `anyOf` is tried, or a pattern with a look-behind goes through a string once for each of its characters:

    schema                                           document                      seconds of one core
    {"items": {"required": ["x"]}}                   1,000,000 objects              0.03
    {"items": {"enum": [1,000 objects]}}             100,000 objects (1.2 MB)      10
    {"pattern": "(?<!q)a*b"}                         a string of 100,000 letters   11
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from holded_pipeline.schemas.schema_source import ResolvedSchema

_BYTES_TIMES_VALUES = 1 << 24  # bytes of a document times values of a schema: at worst half a second
_LARGEST, _SMALLEST = 1 << 18, 1 << 12
_LARGEST_WITH_BACKTRACKING = 1 << 14
# Look-around, references to groups, atomic groups and possessive quantifiers: what a linear engine does not have.
_BACKTRACKING = re.compile(r"\(\?(?:=|!|<[=!]|>)|\\[1-9k]|[*+?}]\+")

CPU_SECONDS: Final = 5.0
"""Seconds of CPU time that the check of one document may take in a process of its own, and as many to explain it."""
CPU_SECONDS_PER_MB: Final = 0.5
"""And so many more for each megabyte."""
MEMORY_BYTES: Final = 1 << 30
"""Memory that such a process may use."""
MEMORY_PER_BYTE: Final = 100
"""And so much more for each byte of the document."""


def bytes_checked_here(resolved: ResolvedSchema) -> int:
    """The size in bytes up to which documents are checked against a schema in this process."""
    documents = resolved.documents.values() if _refers_to_others(resolved.document) else [resolved.document]
    values = max(sum(1 for _ in _schema_values(document)) for document in documents)
    size = min(max(_BYTES_TIMES_VALUES // values, _SMALLEST), _LARGEST)
    return min(size, _LARGEST_WITH_BACKTRACKING) if any(map(_has_backtracking, documents)) else size


def cpu_seconds(size: int) -> float:
    """The CPU time that the check of a document of so many bytes may take."""
    return CPU_SECONDS + CPU_SECONDS_PER_MB * size / (1 << 20)


def memory_bytes(size: int) -> int:
    """The memory that the check of a document of so many bytes may take."""
    return MEMORY_BYTES + MEMORY_PER_BYTE * size


def _refers_to_others(document: Any) -> bool:
    references = (value.get("$ref") for value in _schema_values(document) if isinstance(value, dict))
    return any(isinstance(reference, str) and not reference.startswith("#") for reference in references)


def _has_backtracking(document: Any) -> bool:
    """Whether a pattern may need one; a text of another keyword that looks like such a pattern counts, too."""
    return any(
        _BACKTRACKING.search(text)
        for value in _schema_values(document)
        for text in (value if isinstance(value, dict) else (value,))
        if isinstance(text, str)
    )


def _schema_values(document: Any) -> Iterator[Any]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
