"""Whether two clocks agree."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from holded_pipeline.model.errors import ConfigurationError

_TOLERATED: Final = 60.0  # seconds


def require_same_time(server: str, there: datetime, here: datetime, *, precision: float = 0.0) -> str:
    """How far a server's clock is from the one here.

    Args:
        server: whose clock it is.
        there: its time.
        here: the time here.
        precision: seconds that the server's time may be off because of how it is written.

    Raises:
        ConfigurationError: they are more than a minute apart.
    """
    seconds = (there - here).total_seconds()
    if abs(seconds) > _TOLERATED + precision:
        side = "ahead of" if seconds > 0 else "behind"
        raise ConfigurationError(f"the clock of {server} is {abs(seconds):,.0f} s {side} the one here; set both by NTP")
    return f"{max(abs(seconds) - precision, 0):.1f} s apart"
