"""The enricher `lateness`: the time from an event's occurrence to its collection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import attrs

from holded_pipeline.model.timestamps import parse_timestamp
from holded_pipeline.model.values import Event

_FORM = "1"  # version of the form of the result
_MICROSECOND = timedelta(microseconds=1)


def _validate_delay(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"Lateness.{attribute.name} is a number of seconds, 0 or more, got {value!r}")


def _format_seconds(seconds: float) -> str:
    return repr(float(seconds)).removesuffix(".0")  # 900 and 900.0 are the same setting


@attrs.frozen
class Lateness:
    """An enricher that measures the time from when an event occurred to when it was collected.

    An event without a collection time is measured by its processing time, if the enricher `processing` ran before.

    Attributes:
        threshold: seconds after which an event is late.
        tolerance: seconds by which clocks may differ; an event that occurred more than this after it was
            collected comes from a clock that runs ahead.
        version: of the result; it contains the two settings.

    Raises:
        ValueError: one of them is not a number of seconds.

    Example:
        >>> step = hp.Enrich("processing", hp.Lateness(threshold=900))
    """

    threshold: float = attrs.field(default=3_600.0, validator=_validate_delay)
    tolerance: float = attrs.field(default=300.0, validator=_validate_delay, kw_only=True)
    name: ClassVar[str] = "lateness"

    @property
    def version(self) -> str:
        """The form of the result, and what `late` and `ahead` mean in it."""
        return f"{_FORM} threshold={_format_seconds(self.threshold)} tolerance={_format_seconds(self.tolerance)}"

    def __call__(self, event: Event) -> dict[str, Any]:
        """The entries `seconds`, `late`, `ahead` and `measured_by`; all None if neither time is known.

        `seconds` is negative if the event occurred after it was collected. `measured_by` is `collected_at` or
        `processed_at`.
        """
        for name, text in (
            ("collected_at", event.metadata.get("collected_at")),
            ("processed_at", _member(event.metadata.get("processing"), "processed_at")),
        ):
            arrived_at = _timestamp_or_none(text)
            if arrived_at is not None:
                return self._result(arrived_at - event.occurred_at, name)
        return {"seconds": None, "late": None, "ahead": None, "measured_by": None}

    def _result(self, delay: timedelta, measured_by: str) -> dict[str, Any]:
        seconds = delay // _MICROSECOND / 1_000_000
        return {
            "seconds": seconds,
            "late": seconds > self.threshold,
            "ahead": seconds < -self.tolerance,
            "measured_by": measured_by,
        }


def _member(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else None


def _timestamp_or_none(text: Any) -> datetime | None:
    try:
        return parse_timestamp(text)
    except ValueError:
        return None
