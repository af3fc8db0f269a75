"""One text for each JSON value, however it was written: what digests of values are made from.

Like RFC 8785 (no spaces, members in order of their names), except that numbers are exact instead of doubles: `1`,
`1.0` and `1e0` are one number, while two that differ in the fiftieth digit are two. Strings are taken as they are,
without Unicode normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any


def encode_canonical(value: Any) -> bytes:
    """The canonical text of a JSON value.

    Raises:
        TypeError: it holds what is no JSON value.
    """
    return "".join(_pieces(value)).encode("ascii")


def _pieces(value: Any) -> list[str]:
    pieces: list[str] = []
    _write(value, pieces)
    return pieces


def _write(value: Any, pieces: list[str]) -> None:
    if isinstance(value, str):
        pieces.append(encode_basestring_ascii(value))
    elif value is None or isinstance(value, bool):
        pieces.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int | float | Decimal):
        pieces.append(_number(value))
    elif isinstance(value, Mapping):
        opening = "{"
        for name in sorted(value):
            pieces.append(f"{opening}{encode_basestring_ascii(name)}:")
            _write(value[name], pieces)
            opening = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, list | tuple):
        for place, member in enumerate(value):
            pieces.append("," if place else "[")
            _write(member, pieces)
        pieces.append("]" if value else "[]")
    else:
        raise TypeError(f"{type(value).__name__} is not a JSON value")


def _number(number: float | Decimal) -> str:
    """Digits without zeros at their end, and the power of ten that they are multiplied with."""
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    sign, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(f"{number!r} is not a JSON number")
    text = "".join(map(str, digits))
    significant = text.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' * sign}{significant}e{exponent + len(text) - len(significant)}"
