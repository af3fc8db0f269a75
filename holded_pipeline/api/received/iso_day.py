"""A day in a request: `YYYY-MM-DD` and nothing else. A number is not taken for a Unix time."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator

_DAY = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}")


def _require_iso_day(value: Any) -> Any:
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("a day is written YYYY-MM-DD, in the years 2000 to 2999")
    return value


IsoDay = Annotated[date, BeforeValidator(_require_iso_day)]
