"""The numbers of JSON, exact to the last digit, and bounded in how long they become when they are written out.

`1e131071` has eight characters, and takes 131,072 digits. PostgreSQL keeps such a number in a few bytes and writes it
out in every answer, so that a small document can make a table unreadable. So what numbers grow to is bounded, for each
number and for all of a document.
"""

from __future__ import annotations

import math
import threading
from decimal import Decimal

MAX_NUMBER_DIGITS = 1 << 18
"""Digits of a number written out, before and after the point together; more than PostgreSQL's numeric has."""

MAX_INTEGER_DIGITS = 4_300
"""Characters of a number without point and exponent; Python reads no longer integers by default."""

MAX_NUMBER_GROWTH = 16 << 20
"""Digits that all numbers of one document may have more than characters."""

_EXACT_DIGITS = 15  # any decimal of up to 15 significant digits survives a double (IEEE 754, DBL_DIG)
_DOUBLE_DIGITS = 350  # what fits a double has no more
_EXPONENT_CHARACTERS = 10


class NumberTooLargeError(ValueError):
    """A number, or all numbers of a document, take more digits than are kept."""


class _Growth(threading.local):
    """What the numbers of the document that this thread is decoding grow by."""

    total = 0
    most = MAX_NUMBER_GROWTH


_growth = _Growth()


def parse_number(text: str) -> float | Decimal:
    """A float if its shortest form has the value of the text, else a Decimal."""
    number = float(text)
    if len(text) <= _EXACT_DIGITS and "e" not in text and "E" not in text:
        return number
    if math.isinf(number) or Decimal(repr(number)) != Decimal(text):
        return Decimal(text)
    return number


def parse_sent_number(text: str) -> float | Decimal:
    """The same for a number that somebody sent, which may be longer than it looks.

    Raises:
        NumberTooLargeError: it takes more than `MAX_NUMBER_DIGITS`, or the numbers since `begin_document` grow by more
            than it allows.
    """
    if len(text) > _EXACT_DIGITS or "e" in text or "E" in text:
        _count(text)
    return parse_number(text)


def parse_sent_integer(text: str) -> int:
    """An integer that somebody sent.

    Raises:
        NumberTooLargeError: it has more than `MAX_INTEGER_DIGITS`.
    """
    if len(text) > MAX_INTEGER_DIGITS:
        raise NumberTooLargeError(_describe(text, MAX_INTEGER_DIGITS))
    return int(text)


def parse_common_number(text: str) -> float | Decimal:
    """A number of a document whose numbers are not counted.

    Raises:
        NumberTooLargeError: it does not fit a double, so the numbers of the document have to be counted.
    """
    if (len(text) > _EXACT_DIGITS or "e" in text or "E" in text) and written_digits(text) > _DOUBLE_DIGITS:
        raise NumberTooLargeError(_describe(text))
    return parse_number(text)


def begin_document(max_growth: int = MAX_NUMBER_GROWTH) -> None:
    """Called before a document is decoded by `parse_sent_number`."""
    _growth.total = 0
    _growth.most = max_growth


def _count(text: str) -> None:
    digits = written_digits(text)
    if digits > MAX_NUMBER_DIGITS:
        raise NumberTooLargeError(_describe(text))
    _growth.total += max(digits - len(text), 0)
    if _growth.total > _growth.most:
        raise NumberTooLargeError(
            f"its numbers take over {_growth.most:,} digits more when they are written out; send smaller exponents"
        )


def check_decimal(number: Decimal) -> None:
    """Checks a number that code made.

    Raises:
        NumberTooLargeError: it takes more than `MAX_NUMBER_DIGITS`.
    """
    if written_digits(text := str(number)) > MAX_NUMBER_DIGITS:
        raise NumberTooLargeError(_describe(text))


def written_digits(text: str) -> int:
    """How many digits a JSON number takes without an exponent: `1.5e3` is 1500, `1e-2` is 0.01."""
    mantissa, _, exponent = text.replace("E", "e").partition("e")
    if len(exponent) > _EXPONENT_CHARACTERS:
        return MAX_NUMBER_DIGITS + 1
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    shift = int(exponent or 0)
    return max(len(whole) + shift, 1) + max(len(fraction) - shift, 0)


def _describe(text: str, most: int = MAX_NUMBER_DIGITS) -> str:
    longest = 30
    shown = text if len(text) <= longest else f"{text[:longest]}…"
    return f"the number {shown} takes more than {most:,} digits when it is written out; send it as text"
