"""Timestamps of producers, in all the forms in which they write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any, Literal

from holded_pipeline.model.iso_8601 import parse_iso_date, parse_iso_timestamp

KnownUnit = Literal["s", "ms", "us", "ns"]
Unit = Literal["s", "ms", "us", "ns", "auto"]
"""What numbers count; `auto` goes by the magnitude of each."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MS = -62_135_596_800_000  # 0001-01-01, the earliest that datetime and PostgreSQL both have
_END_MS = 253_402_300_800_000  # 10000-01-01
_PER_MICROSECOND = {"s": Decimal(10**6), "ms": Decimal(1000), "us": Decimal(1), "ns": Decimal("0.001")}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
QUICK_END_MS = 10**13
"""Milliseconds of which nothing needs to be looked at end here, in 2286: the digits of larger ones may be a date."""
_LARGEST = 10**21
# Each unit from 1973 to 5138.
_AUTO_BELOW: tuple[tuple[int, KnownUnit], ...] = (
    (10**11, "s"),
    (10**14, "ms"),
    (10**17, "us"),
)
_NUMBER = re.compile(r"-?[0-9]{1,21}(\.[0-9]{1,12})?")
_BASIC_DATE = re.compile(r"[0-9]{7,8}")  # YYYYDDD and YYYYMMDD
# YYYYMMDD and perhaps hours, minutes, seconds and milliseconds, without anything between them
_DIGITS_OF_DATE = re.compile(
    r"(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])(([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9]([0-9]{3})?)?)?)?"
)
_DATES_FROM = datetime(2033, 5, 18, tzinfo=UTC)  # what 2000010100 is in seconds


def parse_timestamp(value: Any, unit: Unit = "ms") -> datetime:
    """The time that `value` means: aware, in UTC, to the microsecond; smaller parts are dropped.

    Args:
        value: a number since 1970, also as text, or an ISO-8601 text. A text without an offset is taken as UTC, a date
            without a time as its midnight; a text of eight digits that is a date is that date.
        unit: what the numbers count.

    Raises:
        ValueError: it is not a time between the years 1 and 9999, or its digits may be a date; the message says why.
    """
    if type(value) is int and unit == "ms" and FIRST_MS <= value < QUICK_END_MS:  # which most are
        return EPOCH + timedelta(0, 0, value * 1000)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        # ValueError for any value, since callers pass whatever a document has.
        raise ValueError(f"a moment is a number since 1970 or an ISO-8601 text, not {_json_type_of(value)}")  # noqa: TRY004  as said above
    if not isinstance(value, str):
        return _from_number(value, unit)
    text = value.strip()
    if not is_number(text):
        return _from_iso(text)
    return _from_basic_date(text) or _from_number(Decimal(text), unit)


def is_number(text: str) -> bool:
    """Whether a text is a number since 1970."""
    return _NUMBER.fullmatch(text) is not None


def _from_number(value: float | Decimal, unit: Unit) -> datetime:
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(number, Decimal) and not number.is_finite():
        raise ValueError(f"{value} is not a number since 1970")
    known = unit_of(number) if unit == "auto" else unit
    factor = _PER_MICROSECOND[known]
    if not -_LARGEST < number < _LARGEST or not FIRST_MS * 1000 <= number * factor < _END_MS * 1000:
        raise ValueError(f"the epoch {UNIT_NAMES[known]} lie outside the years 1 to 9999")
    if abs(number * factor) < 1:
        return EPOCH
    moment = EPOCH + timedelta(microseconds=int((number * factor).to_integral_value(ROUND_DOWN)))
    if moment >= _DATES_FROM and _DIGITS_OF_DATE.fullmatch(str(int(number))):
        raise ValueError(f"{number} may be a date or {UNIT_NAMES[known]}; write dates with hyphens")
    return moment


def unit_of(number: float | Decimal) -> KnownUnit:
    """The unit in which this number means a time of our days."""
    for end, unit in _AUTO_BELOW:
        if -end < number < end:
            return unit
    return "ns"


def _from_basic_date(text: str) -> datetime | None:
    """The midnight of a date such as `20240610`; None if the text is none."""
    if not _BASIC_DATE.fullmatch(text):
        return None
    try:
        return datetime.combine(parse_iso_date(text), datetime.min.time(), UTC)
    except (ValueError, OverflowError):
        return None


def _from_iso(text: str) -> datetime:
    try:
        return parse_iso_timestamp(text)
    except ValueError:
        raise ValueError(f"{_shorten(text)} is neither ISO-8601 nor a number since 1970") from None
    except OverflowError:
        raise ValueError(f"{_shorten(text)} lies outside the years 1 to 9999 in UTC") from None


def _json_type_of(value: Any) -> str:
    kinds = {bool: "a boolean", type(None): "null", dict: "an object", list: "an array"}
    return kinds.get(type(value), type(value).__name__)


def _shorten(text: str) -> str:
    longest = 60
    return repr(text if len(text) <= longest else f"{text[:longest]}…")
