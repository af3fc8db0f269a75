"""Which timestamps of a producer are accepted: the unit of numbers, and the times that cannot be true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

import attrs

from holded_pipeline.model.readable_times import FIRST_READABLE, find_unreadable
from holded_pipeline.model.timestamps import (
    EPOCH,
    FIRST_MS,
    QUICK_END_MS,
    UNIT_NAMES,
    Unit,
    is_number,
    parse_timestamp,
    unit_of,
)

EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
"""Seconds, minutes, days and dates without hyphens lie before it when they are taken for milliseconds."""

_LAST = datetime.max.replace(tzinfo=UTC)
_FEWEST_SECONDS = 10**8  # 1973


class ImplausibleTimestampError(ValueError):
    """A time that can be read, but cannot be true."""


def _check_earliest(_: Any, attribute: Any, value: datetime | None) -> None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise ValueError(f"{attribute.name} takes a datetime with a time zone or None, got {value!r}; e.g. tzinfo=UTC")


def _check_max_ahead(_: Any, attribute: Any, value: timedelta | None) -> None:
    if value is not None and (not isinstance(value, timedelta) or value < timedelta(0)):
        raise ValueError(f"{attribute.name} takes a timedelta that is not negative, or None, got {value!r}")


def _check_unit(_: Any, attribute: Any, value: str) -> None:
    if value not in (*UNIT_NAMES, "auto"):
        raise ValueError(f'{attribute.name} must be "s", "ms", "us", "ns" or "auto", got {value!r}')


@attrs.frozen(kw_only=True)
class Timestamps:
    """How the timestamps of a producer are read, and which of them are rejected.

    Attributes:
        unit: what numbers count since 1970: `s`, `ms`, `us`, `ns`, or `auto`, which tells it by the magnitude of each
            number. `auto` reads what is below 10^11 as seconds, below 10^14 as milliseconds, below 10^17 as
            microseconds, so it is right from 1973 on.
        earliest: an event before it is rejected; None accepts any. Aware. The default, 1980, is after everything that
            seconds, minutes, days or dates without hyphens mean when they are taken for milliseconds.
        max_ahead: an event further than this after the beginning of the bundle in which it is read is rejected; None,
            the default, accepts any.

    Example:
        >>> in_seconds = hp.Timestamps(unit="s")
        >>> raw = hp.ReadMinIO(lake, "raw/", envelope="flat", timestamps=in_seconds)

    Raises:
        ValueError: an argument is wrong.

    **Guarantees:** a number is never taken for another unit than the one that was asked for. What lies outside
    `earliest` and `max_ahead` is rejected with reason `implausible_timestamp`, and the message says in which unit the
    number would mean a time of our days. So are the first and the last 16 hours of the years 1 to 9999, which Python
    cannot read from PostgreSQL in every time zone; only with `earliest=None` they are accepted, too.
    """

    unit: Unit = attrs.field(default="ms", validator=_check_unit)
    earliest: datetime | None = attrs.field(default=EARLIEST, validator=_check_earliest)
    max_ahead: timedelta | None = attrs.field(default=None, validator=_check_max_ahead)
    _latest: datetime | None = attrs.field(default=None, repr=False, eq=False)
    _quick_from: int = attrs.field(init=False, repr=False, eq=False)
    _quick_end: int = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        # Milliseconds of which nothing needs to be looked at; most are.
        first = FIRST_MS if self.earliest is None else _milliseconds(max(self.earliest, FIRST_READABLE))
        end = QUICK_END_MS if self._latest is None else min(QUICK_END_MS, _milliseconds(self._latest))
        object.__setattr__(self, "_quick_from", first if self.unit == "ms" else QUICK_END_MS)
        object.__setattr__(self, "_quick_end", end)

    def at(self, now: datetime) -> Self:
        """The same, with `max_ahead` counted from `now`; without that, `max_ahead` rejects nothing."""
        if self.max_ahead is None or self.max_ahead > _LAST - now:  # which nothing lies ahead of
            return self
        return attrs.evolve(self, latest=now + self.max_ahead)

    def read(self, value: Any) -> datetime:
        """The time that `value` means.

        Raises:
            ValueError: it is not a time, or it is too early or too late.
        """
        if type(value) is int and self._quick_from <= value < self._quick_end:
            return EPOCH + timedelta(0, 0, value * 1000)
        moment = parse_timestamp(value, self.unit)
        if (problem := self.find_problem(moment)) is not None:
            raise ImplausibleTimestampError(f"{problem}{_other_unit(value, self.unit)}")
        return moment

    def find_problem(self, moment: datetime) -> str | None:
        """Why a time cannot be true; None if it can."""
        if self.earliest is not None and moment < self.earliest:
            return f"{moment.isoformat()} is before {self.earliest.isoformat()}, the earliest that is accepted"
        if self._latest is not None and moment > self._latest:
            return f"{moment.isoformat()} is more than {self.max_ahead} ahead"
        return None if self.earliest is None else find_unreadable(moment)


def _milliseconds(moment: datetime) -> int:
    return -((EPOCH - moment) // timedelta(milliseconds=1))


def _other_unit(value: Any, unit: str) -> str:
    """Says in which other unit a number would mean a time of our days; empty if there is none."""
    if isinstance(value, str):
        value = Decimal(value.strip()) if is_number(value.strip()) else None
    if value is None or abs(value) < _FEWEST_SECONDS or (likely := unit_of(value)) == unit:
        return ""
    try:
        meant = parse_timestamp(value, likely)
    except ValueError:
        return "; its digits may be a date: write it with hyphens"
    return f'; in {UNIT_NAMES[likely]} it is {meant.isoformat()}: pass timestamps=hp.Timestamps(unit="{likely}")'


DEFAULT_TIMESTAMPS = Timestamps()
"""Milliseconds, from 1980 on."""

ANY_TIMESTAMPS = Timestamps(earliest=None)
"""For what was accepted before."""
