"""The times that can be read again from PostgreSQL in every time zone.

Python has the years 1 to 9999 only. PostgreSQL gives a time in the time zone of the session that asks: the last evening
of 9999 in UTC is in the year 10000 in Madrid, and there psycopg raises an error for the whole result, not for the row.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_LARGEST_OFFSET = timedelta(hours=16)  # PostgreSQL has offsets of less than that

FIRST_READABLE = datetime.min.replace(tzinfo=UTC) + _LARGEST_OFFSET
LAST_READABLE = datetime.max.replace(tzinfo=UTC) - _LARGEST_OFFSET


def find_unreadable(moment: datetime) -> str | None:
    """Why a time could not be read again; None if it can.

    Args:
        moment: aware, in any time zone.
    """
    if FIRST_READABLE <= moment <= LAST_READABLE:
        return None
    return (
        f"{moment.isoformat()} is outside the years 1 to 9999 in some time zone, where Python could not read it again"
    )
