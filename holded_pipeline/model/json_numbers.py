"""The numbers of JSON, exact to the last digit, and bounded in how long they become when they are written out.

`1e131071` has eight characters, and takes 131,072 digits. PostgreSQL keeps such a number in a few bytes and writes it
out in every answer, so that a small document can make a table unreadable. So what numbers grow to is bounded, for each
number and for all of a document, by the size of the document.
"""

from __future__ import annotations

import math
import re
import threading
from decimal import Decimal

MAX_INTEGER_DIGITS = 4_300
"""Digits of a number before its point when it is written out.

Python reads no longer integers by default, and PostgreSQL writes `1e5000` as one: neither psycopg nor pandas could read
a row with it again.
"""

MAX_FRACTION_DIGITS = 1 << 18
"""Digits of a number behind its point when it is written out; PostgreSQL rejects a number from 16,384 on."""

MAX_NUMBER_GROWTH = 16 << 20
"""Digits that all numbers of one document may have more than characters, however large it is."""

MAX_STORED_GROWTH = 256 << 20
"""The same for what is stored, which may hold several documents: a quarter of what PostgreSQL can write for one row."""

_FREE_GROWTH = 16 << 10  # of any document, so that a small one may have a few numbers of thousands of digits
_GROWTH_PER_BYTE = 64  # a document full of numbers that fit a double, such as `1e308,`, grows by less
FEW_BYTES = MAX_NUMBER_GROWTH // _GROWTH_PER_BYTE
"""Bytes of a document for which `doubles_may_grow` is False whatever it holds."""

_LONG_INTEGER = re.compile(rb"(?<![0-9])[0-9]{%d}" % (MAX_INTEGER_DIGITS + 1))
_LONG_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]{2}")

_EXACT_DIGITS = 15  # any decimal of up to 15 significant digits survives a double (IEEE 754, DBL_DIG)
_NORMAL_DOUBLES = 1e-290, 1e290  # within, a double has all of its bits
_DOUBLE_DIGITS = 350  # what fits a double has no more
_EXPONENT_CHARACTERS = 10
_POSTGRES_FRACTION_DIGITS = 16_383  # https://www.postgresql.org/docs/current/datatype-numeric.html


class NumberTooLargeError(ValueError):
    """A number, or all numbers of a document, take more digits than are kept."""


class _Growth(threading.local):
    """What the numbers of the document that this thread is decoding grow by."""

    total = 0
    most = MAX_NUMBER_GROWTH


_growth = _Growth()


def growth_for(size: int) -> int:
    """How many digits more than characters the numbers of a document that was sent may have.

    Documents of up to a quarter of a megabyte whose numbers all fit a double never have as many.
    """
    return min(_FREE_GROWTH + _GROWTH_PER_BYTE * size, MAX_NUMBER_GROWTH)


def doubles_may_grow(text: bytes, most: int = MAX_NUMBER_GROWTH) -> bool:
    """Whether a document may grow by more, even if each of its numbers fits a double; False proves that it does not."""
    return len(text) * _GROWTH_PER_BYTE > most and _LONG_EXPONENT.search(text) is not None


def has_long_integer(text: bytes) -> bool:
    """Whether a document has more digits in a row than `MAX_INTEGER_DIGITS`, in a number or in a string."""
    return len(text) > MAX_INTEGER_DIGITS and _LONG_INTEGER.search(text) is not None


def parse_number(text: str) -> float | Decimal:
    """A float if its shortest form has the value of the text, else a Decimal."""
    number = float(text)
    if len(text) <= _EXACT_DIGITS and (
        ("e" not in text and "E" not in text) or _NORMAL_DOUBLES[0] < abs(number) < _NORMAL_DOUBLES[1]
    ):
        return number
    if math.isinf(number) or Decimal(repr(number)) != Decimal(text):
        return Decimal(text)
    return number


def parse_sent_number(text: str) -> float | Decimal:
    """The same for a number that somebody sent, which may be longer than it looks.

    Raises:
        NumberTooLargeError: it takes more than `MAX_INTEGER_DIGITS` or `MAX_FRACTION_DIGITS`, or the numbers since
            `begin_document` grow by more than it allows.
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
        raise NumberTooLargeError(_describe(text))
    return int(text)


def parse_common_number(text: str) -> float | Decimal:
    """A number of a document whose numbers are not counted.

    Raises:
        NumberTooLargeError: it does not fit a double, so the numbers of the document have to be counted.
    """
    if (len(text) > _EXACT_DIGITS or "e" in text or "E" in text) and written_digits(text) > _DOUBLE_DIGITS:
        raise NumberTooLargeError(_describe(text))
    return parse_number(text)


def begin_document(max_growth: int) -> None:
    """Called before a document is decoded by `parse_sent_number`; see `growth_for`."""
    _growth.total = 0
    _growth.most = max_growth


def _count(text: str) -> None:
    before, after = _checked_digits(text)
    digits = before + after
    if digits <= len(text) or after > _POSTGRES_FRACTION_DIGITS:
        return  # PostgreSQL rejects a longer fraction, so it never writes one out
    _growth.total += digits - len(text)
    if _growth.total > _growth.most:
        raise NumberTooLargeError(
            f"its numbers take over {_growth.most:,} digits more when they are written out; send smaller exponents"
        )


def check_decimal(number: Decimal) -> None:
    """Checks a number that code made.

    Raises:
        NumberTooLargeError: it takes more than `MAX_INTEGER_DIGITS` or `MAX_FRACTION_DIGITS`.
    """
    _checked_digits(str(number))


def written_digits(text: str) -> int:
    """How many digits a JSON number takes without an exponent: `1.5e3` is 1500, `1e-2` is 0.01."""
    before, after = _digits_around_point(text)
    return before + after


def _checked_digits(text: str) -> tuple[int, int]:
    before, after = _digits_around_point(text)
    if before > MAX_INTEGER_DIGITS or after > MAX_FRACTION_DIGITS:
        raise NumberTooLargeError(_describe(text))
    return before, after


def _digits_around_point(text: str) -> tuple[int, int]:
    mantissa, _, exponent = text.replace("E", "e").partition("e")
    if len(exponent) > _EXPONENT_CHARACTERS:
        return MAX_INTEGER_DIGITS + 1, MAX_FRACTION_DIGITS + 1
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    shift = int(exponent or 0)
    return max(len(whole) + shift, 1), max(len(fraction) - shift, 0)


def _describe(text: str) -> str:
    longest = 30
    shown = text if len(text) <= longest else f"{text[:longest]}…"
    return (
        f"the number {shown} takes more than {MAX_INTEGER_DIGITS:,} digits before its point when it is written out, or "
        f"{MAX_FRACTION_DIGITS:,} behind it; send it as text"
    )
