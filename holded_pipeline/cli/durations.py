"""Durations as people write them: `60s`, `5m`, `1.5h`, `250ms`, or a number of seconds."""

from __future__ import annotations

import math
import re
from typing import Final

_UNITS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_LONGEST: Final = 36_500 * 86_400.0  # what waits for longer than the system's clocks can say, fails
_WRITTEN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)


def parse_duration(value: str | float) -> float:
    """The seconds of a duration.

    Raises:
        ValueError: it is no duration above 0, or one of more than 100 years.
    """
    if isinstance(value, str):
        found = _WRITTEN.fullmatch(value)
        if found is None or found[2] not in _UNITS:
            raise ValueError(f"{value!r} is no duration; write 60s, 5m, 1.5h or 250ms")
        value = float(found[1]) * _UNITS[found[2]]
    if isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"a duration must be more than 0 seconds, got {value}")
    if value > _LONGEST:
        raise ValueError(f"a duration must be at most 36500d, got {value:g} s")
    return float(value)
