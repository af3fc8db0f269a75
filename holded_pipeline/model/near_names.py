"""Names that a misspelt one may stand for, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import islice

_COMPARED = 2_000  # names: comparing takes tens of microseconds for each
_LONGEST = 300  # characters that are compared


def near_names(wanted: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Known names that look like a wanted one, the nearest first; letters of either case count as the same."""
    by_lower: dict[str, str] = {}
    for name in islice(known, _COMPARED):
        by_lower.setdefault(name[:_LONGEST].lower(), name)
    return [by_lower[lower] for lower in difflib.get_close_matches(wanted[:_LONGEST].lower(), by_lower, most, 0.6)]


def listed(names: Sequence[str], *, most: int = 8) -> str:
    """Names in a message, the first ones and how many more there are: `raw/, enriched/ and 3 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
