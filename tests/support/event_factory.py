"""Events for tests: everything that a test does not care about has a value already."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import holded_pipeline as hp

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def make_event(number: int = 0, **fields: Any) -> hp.Event:
    """The event `e<number>` with the data `{"n": number}`; `fields` replaces any field of it."""
    return hp.Event(
        **(
            {
                "id": f"e{number}",
                "type": "t",
                "company_id": "c",
                "occurred_at": NEW_YEAR,
                "data": {"n": number},
            }
            | fields
        )
    )
