"""The enricher `lateness`: how long after it happened an event came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import attrs

from holded_pipeline.model.timestamps import parse_timestamp
from holded_pipeline.model.values import Event

_FORM = "1"  # of what is added; another one adds something else
_MICROSECOND = timedelta(microseconds=1)


def _seconds(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"Lateness.{attribute.name} is a number of seconds, 0 or more, got {value!r}")


def _written(seconds: float) -> str:
    return repr(float(seconds)).removesuffix(".0")  # 900 and 900.0 are one setting


@attrs.frozen
class Lateness:
    """An enricher that measures the time from when an event occurred to when it was collected.

    An event that nothing says about when it was collected is measured by when it was processed, if the enricher
    `processing` ran before this one.

    Attributes:
        threshold: seconds after which an event is late.
        tolerance: seconds by which clocks may differ: an event that occurred longer than this after it was
            collected comes from a clock that runs ahead.
        version: of what it adds, the two settings in it.

    Raises:
        ValueError: one of them is no number of seconds.
    """

    threshold: float = attrs.field(default=3_600.0, validator=_seconds)
    tolerance: float = attrs.field(default=300.0, validator=_seconds, kw_only=True)
    name: ClassVar[str] = "lateness"

    @property
    def version(self) -> str:
        """The form of the result, and what `late` and `ahead` mean in it."""
        return f"{_FORM} threshold={_written(self.threshold)} tolerance={_written(self.tolerance)}"

    def __call__(self, event: Event) -> dict[str, Any]:
        """The entries `seconds`, `late`, `ahead` and `measured_by`; all None where the event came from no known time.

        `seconds` are negative where the event occurred after it was collected. `measured_by` is `collected_at` or
        `processed_at`.
        """
        for name, text in (
            ("collected_at", event.metadata.get("collected_at")),
            ("processed_at", _member(event.metadata.get("processing"), "processed_at")),
        ):
            moment = _moment(text)
            if moment is not None:
                return self._measured(moment - event.occurred_at, name)
        return {"seconds": None, "late": None, "ahead": None, "measured_by": None}

    def _measured(self, delay: timedelta, by: str) -> dict[str, Any]:
        seconds = delay // _MICROSECOND / 1_000_000
        return {
            "seconds": seconds,
            "late": seconds > self.threshold,
            "ahead": seconds < -self.tolerance,
            "measured_by": by,
        }


def _member(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else None


def _moment(text: Any) -> datetime | None:
    try:
        return parse_timestamp(text)
    except ValueError:
        return None
