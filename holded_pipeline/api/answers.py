"""The forms of the answers, as OpenAPI shows them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

_ID = "0198c5a2-7f1e-7c3a-9b1d-2f6f0c9b7e18"
_PACKAGE = "019ab4c3-1f00-7a10-8000-3c5d7e9f1a2b"


class Counts(BaseModel):
    """How many events."""

    received: int
    accepted: int
    rejected: int


class Accepted(BaseModel):
    """An event that is stored."""

    index: int = Field(description="its place in the package, from 0")
    event_id: str


class Violation(BaseModel):
    """One fault of an event."""

    pointer: str = Field(description="JSON Pointer of what is wrong")
    keyword: str
    message: str


class Refused(BaseModel):
    """An event that is not accepted. Sending it again unchanged cannot help."""

    index: int = Field(description="its place in the package, from 0")
    reason: str = Field(description="a stable code")
    message: str
    violations: list[Violation] = []
    event_id: str | None = None


class Collected(BaseModel):
    """What became of a package."""

    package_id: str = Field(description="the correlation_id of its events")
    received_at: str
    counts: Counts
    accepted: list[Accepted] = Field(description="stored: the store has confirmed them")
    rejected: list[Refused] = Field(description="not stored as events")


class Alive(BaseModel):
    """The process runs."""

    status: str


def collected(accepted: int, rejected: int) -> dict[str, Any]:
    """An example."""
    refused = Refused(index=accepted, reason="not_finite", message="NaN is not a JSON number; send null")
    return Collected(
        package_id=_PACKAGE,
        received_at="2026-11-24T09:15:00.125000+00:00",
        counts=Counts(received=accepted + rejected, accepted=accepted, rejected=rejected),
        accepted=[Accepted(index=0, event_id=_ID)] * accepted,
        rejected=[refused] * rejected,
    ).model_dump()


MESSAGE = {
    "data": {"id": "6740a1", "amount": 12.5, "status": "created"},
    "headers": {
        "type": r"Holded\Wallet\Domain\Transaction\Events\WalletTransactionCreatedEvent",
        "targetSubscription": "wallet_events",
        r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\NewContextStamp": {
            "accountId": "5f0c9b7e18a2",
            "userId": "5f0c9b7e18a3",
        },
        r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\TimestampStamp": {"dispatchedAt": 1795511700000},
        r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\MessageIdStamp": {"id": _ID},
    },
}
"""A message as Holded's services send it."""

STORED = {
    "event_id": _ID,
    "correlation_id": _PACKAGE,
    "received_at": "2026-11-24T09:15:00.125000+00:00",
    "event": MESSAGE,
}
"""The form in which it is stored."""

FIGURES = """# HELP holded_api_requests_total Requests answered
# TYPE holded_api_requests_total counter
holded_api_requests_total{method="POST",route="/collect",status="202"} 41.0
# HELP holded_api_queue_packages Packages waiting for the store
# TYPE holded_api_queue_packages gauge
holded_api_queue_packages 0.0
"""
"""Some of the figures, in the form of Prometheus."""

_EVENT = {"type": "object", "description": "an event, as the producer has it"}
BODY = {
    "required": True,
    "description": "One event, or an array of events; or with application/x-ndjson one event a line. "
    "With `Content-Encoding: gzip` compressed.",
    "content": {
        "application/json": {
            "schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]},
            "examples": {
                "one": {"summary": "one event", "value": MESSAGE},
                "several": {"summary": "a package", "value": [MESSAGE, MESSAGE]},
            },
        },
        "application/x-ndjson": {
            "schema": {"type": "string"},
            "examples": {"lines": {"value": f"{json.dumps(MESSAGE)}\n{json.dumps(MESSAGE)}\n"}},
        },
    },
}
STORED_SCHEMA = {
    "type": "object",
    "required": ["event_id", "correlation_id", "received_at", "event"],
    "properties": {
        "event_id": {"type": "string"},
        "correlation_id": {"type": "string"},
        "received_at": {"type": "string"},
        "event": {"type": "object"},
    },
}
PAGE_SCHEMA = {
    "type": "object",
    "required": ["events", "next_cursor"],
    "properties": {"events": {"type": "array", "items": STORED_SCHEMA}, "next_cursor": {"type": ["string", "null"]}},
}
