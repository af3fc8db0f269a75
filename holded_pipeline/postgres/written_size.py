"""How large a row is when PostgreSQL writes it: it can store one that no query can read again.

It keeps `1e4000` in a few bytes and writes all of its digits. What is written for a row, as for a value, has to be less
than a gigabyte (https://www.postgresql.org/docs/current/limits.html, "field size").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from holded_pipeline.model.json_numbers import written_digits

MAX_WRITTEN_BYTES: Final = (1 << 30) - (1 << 20)
"""Of one row; a megabyte is left for what a query adds."""

SMALL_ROW_BYTES: Final = 64 << 10
"""A row of up to so many bytes never takes more: a number of 11 characters takes 131,072 digits at most."""

_LONG_NUMBER: Final = re.compile(rb"[0-9.]+[eE][+-]?[0-9]{2,}")
_STRING_OR_LONG_NUMBER: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[0-9.]+[eE][+-]?[0-9]{2,}', re.DOTALL)
_MOST_DIGITS: Final = 131_072 + 16_383  # PostgreSQL rejects a number with more


def written_bytes(values: Sequence[bytes], kinds: Sequence[Any]) -> int:
    """How many bytes a row takes at least when it is written.

    Args:
        values: each as COPY's text format has it.
        kinds: the types of their columns; values beyond them are counted as they are.
    """
    growth = sum(_growth_of(copied, kind) for copied, kind in zip(values, kinds, strict=False))
    return sum(map(len, values)) + growth


def _growth_of(copied: bytes, kind: Any) -> int:
    has_numbers = isinstance(kind.item_type if isinstance(kind, sa.ARRAY) else kind, sa.JSON | sa.Numeric)
    if not has_numbers or _LONG_NUMBER.search(copied) is None:
        return 0
    if isinstance(kind, sa.JSON):  # in whose strings there are no numbers
        found = _STRING_OR_LONG_NUMBER.findall(copied.replace(b"\\\\", b"\\"))
    else:
        found = _LONG_NUMBER.findall(copied)
    numbers = (each.decode() for each in found if not each.startswith(b'"'))
    return sum(max(min(written_digits(number), _MOST_DIGITS) - len(number), 0) for number in numbers)
