"""Texts of ISO 8601 and RFC 3339, and what programs write in their place."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

SEPARATORS = "Tt _"
"""What may stand between date and time."""
_SEPARATOR_AT = len("2024-06-10")
_DAY_OF_YEAR = re.compile(r"([0-9]{4})-?([0-9]{3})")
_ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-?W[0-9]{2}(?:-?[0-9])?|[0-9]{4}-?[0-9]{3}|[0-9]{8})"
    r"(?:[T _](?P<hour>[0-9]{2})(?P<colon>:?)(?:(?P<minute>[0-9]{2})(?:(?P=colon)(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]+))?)?)?)?"
    r" ?(?P<offset>Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?"
    r"(?: UTC|\[[\w/+-]+\])?",  # Go's own format, and the name of the zone that RFC 9557 adds to an offset
    re.ASCII | re.IGNORECASE,
)
_LEAP_SECOND = 60
_LAST_MINUTE = (23, 59)


def parse_iso_timestamp(text: str) -> datetime:
    """The moment that an ISO-8601 text means, in UTC; one without an offset is taken as UTC.

    Raises:
        ValueError: it is none.
        OverflowError: in UTC it lies outside the years 1 to 9999.
    """
    if text[_SEPARATOR_AT : _SEPARATOR_AT + 1] in SEPARATORS:  # fromisoformat takes any, even the sign of an offset
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return _parse_carefully(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return _parse_carefully(text)


def _parse_carefully(text: str) -> datetime:
    """What `fromisoformat` refuses or misreads: other dates, 24:00:00, leap seconds, names and spaces for offsets."""
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError("not ISO-8601")
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    microsecond = int((found["fraction"] or "")[:6].ljust(6, "0"))
    is_next_day = hour == 24 and not (minute or second or microsecond)  # noqa: PLR2004  the end of a day
    is_leap = second == _LEAP_SECOND
    moment = datetime.combine(parse_iso_date(found["date"]), datetime.min.time(), _offset(found["offset"]))
    moment = moment.replace(
        hour=0 if is_next_day else hour,
        minute=minute,
        second=second - is_leap,
        microsecond=microsecond,
    ).astimezone(UTC)
    if is_leap and (moment.hour, moment.minute) != _LAST_MINUTE:
        raise ValueError("not a leap second")
    # A clock of 60-second minutes has no leap second, so it is the second after it, as in PostgreSQL.
    return moment + timedelta(days=is_next_day, seconds=is_leap)


def parse_iso_date(text: str) -> date:
    """The date of a text such as `2024-06-10`, `20240610`, `2024-W24-1` or `2024-162`.

    Raises:
        ValueError: it is none.
    """
    ordinal = _DAY_OF_YEAR.fullmatch(text)
    if ordinal is None:
        return date.fromisoformat(text.upper())
    day = date(int(ordinal[1]), 1, 1) + timedelta(days=int(ordinal[2]) - 1)
    if day.year != int(ordinal[1]):
        raise ValueError("that year has no such day")
    return day


def _offset(text: str | None) -> tzinfo:
    if text is None or text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
