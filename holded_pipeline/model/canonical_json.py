"""One text for each JSON value, however it was written. Digests of values are made from it.

Like RFC 8785 (no spaces, members in order of their names), except that numbers are exact instead of doubles: `1`,
`1.0` and `1e0` are one number, while two that differ in the fiftieth digit are two. Strings are not
normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any


def encode_canonical(value: Any) -> bytes:
    """The canonical text of a JSON value: `{"a":15e-1,"b":[1e0]}` of `{"b": [1.0], "a": 1.50}`.

    Raises:
        TypeError: it contains something that is not a JSON value.
    """
    parts: list[str] = []
    _append_value(value, parts)
    return "".join(parts).encode("ascii")


def _append_value(value: Any, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring_ascii(value))
    elif value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int | float | Decimal):
        parts.append(_canonical_number(value))
    elif isinstance(value, Mapping):
        opening = "{"
        for name in sorted(value):
            parts.append(f"{opening}{encode_basestring_ascii(name)}:")
            _append_value(value[name], parts)
            opening = ","
        parts.append("}" if value else "{}")
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            parts.append("," if index else "[")
            _append_value(member, parts)
        parts.append("]" if value else "[]")
    else:
        raise TypeError(f"{type(value).__name__} is not a JSON value")


def _canonical_number(number: float | Decimal) -> str:
    """Digits without zeros at their end, and a power of ten: `15e-1` of 1.50, `1e3` of 1000, `0` of 0.0 and -0.0."""
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    sign, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(f"{number!r} is not a JSON number")
    text = "".join(map(str, digits))
    significant = text.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' * sign}{significant}e{exponent + len(text) - len(significant)}"
