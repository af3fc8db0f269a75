"""Timestamps of producers, in all the forms in which they write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = -62_135_596_800_000  # 0001-01-01, the earliest that datetime and PostgreSQL both have
_END_MS = 253_402_300_800_000  # 10000-01-01
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")
_COMPACT_DATE = re.compile(r"[0-9]{8}|[0-9]{14}")
_MICROSECOND = Decimal("0.001")


def parse_timestamp(value: Any) -> datetime:
    """The time that `value` means: aware, in UTC, to the microsecond; smaller parts are dropped.

    Args:
        value: epoch milliseconds as a number or as text, or an ISO-8601 text. A text without an offset is taken
            as UTC, a date without a time as its midnight.

    Raises:
        ValueError: it is not a time between the years 1 and 9999; the message says why.
    """
    if type(value) is int and _FIRST_MS <= value < _END_MS:  # which most are
        return _EPOCH + timedelta(0, 0, value * 1000)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        # ValueError for any value, since callers pass whatever a document has.
        raise ValueError(f"a moment is epoch milliseconds or an ISO-8601 text, not {_json_type_of(value)}")  # noqa: TRY004  as said above
    if not isinstance(value, str):
        return _from_milliseconds(value)
    text = value.strip()
    if _COMPACT_DATE.fullmatch(text):
        raise ValueError(
            f"{text!r} may be a date or milliseconds; write dates with hyphens, or milliseconds as a number"
        )
    return _from_milliseconds(Decimal(text)) if _NUMBER.fullmatch(text) else _from_iso(text)


def _from_milliseconds(value: float | Decimal) -> datetime:
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(number, Decimal) and not number.is_finite():
        raise ValueError(f"{value} is not a number of milliseconds")
    if not _FIRST_MS <= number < _END_MS:
        raise ValueError("the epoch milliseconds lie outside the years 1 to 9999")
    exact = Decimal(number)
    if abs(exact) < _MICROSECOND:
        return _EPOCH
    return _EPOCH + timedelta(microseconds=int((exact * 1000).to_integral_value(ROUND_DOWN)))


def _from_iso(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except ValueError:
        raise ValueError(f"{_shorten(text)} is neither ISO-8601 nor epoch milliseconds") from None
    except OverflowError:
        raise ValueError(f"{_shorten(text)} lies outside the years 1 to 9999 in UTC") from None


def _json_type_of(value: Any) -> str:
    kinds = {bool: "a boolean", type(None): "null", dict: "an object", list: "an array"}
    return kinds.get(type(value), type(value).__name__)


def _shorten(text: str) -> str:
    longest = 60
    return repr(text if len(text) <= longest else f"{text[:longest]}…")
