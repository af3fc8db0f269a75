"""The JSON of responses and request bodies, with the examples that OpenAPI shows."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, Field

_ID = "0198c5a2-7f1e-7c3a-9b1d-2f6f0c9b7e18"
_PACKAGE = "019ab4c3-1f00-7a10-8000-3c5d7e9f1a2b"


class Counts(BaseModel):
    """Numbers of events."""

    received: int = Field(description="accepted and rejected")
    accepted: int = Field(description="safe in the store, those listed as duplicates among them")
    rejected: int


class AcceptedEvent(BaseModel):
    """An event that is stored."""

    index: int = Field(description="its position in the package, from 0")
    event_id: str


class DuplicateEvent(BaseModel):
    """An accepted event that is the same JSON value as an earlier one of the package, and is stored once with it."""

    index: int = Field(description="its position in the package, from 0")
    duplicate_of: int = Field(description="the position of the earlier one")


class SchemaViolation(BaseModel):
    """One way in which an event breaks its schema, or differs from an earlier one with its id."""

    pointer: str = Field(description="JSON Pointer to the value that is wrong")
    keyword: str
    message: str


class RejectedEvent(BaseModel):
    """An event that is not accepted. Sending it again unchanged has the same result."""

    index: int = Field(description="its position in the package, from 0")
    reason: str = Field(description="a stable code")
    message: str
    violations: list[SchemaViolation] = []
    event_id: str | None = None


class CollectResponse(BaseModel):
    """The result for each event of a package."""

    package_id: str = Field(description="the correlation_id of its events")
    received_at: str
    counts: Counts
    accepted: list[AcceptedEvent] = Field(description="stored, as the store has confirmed")
    duplicates: list[DuplicateEvent] = Field(description="the accepted events that repeat an earlier one")
    rejected: list[RejectedEvent] = Field(description="not stored as events")


class Health(BaseModel):
    """Whether the process runs, and whether each server that it depends on answers."""

    status: Literal["healthy", "degraded"] = Field(description="degraded if a dependency is unavailable")
    dependencies: dict[str, Literal["healthy", "unavailable"]]


class ServerStatus(BaseModel):
    """The status of the store."""

    status: str


def example_response(accepted: int, rejected: int) -> dict[str, Any]:
    """An example of a `CollectResponse` with so many events."""
    rejected_event = RejectedEvent(index=accepted, reason="not_finite", message="NaN is not a JSON number; send null")
    return CollectResponse(
        package_id=_PACKAGE,
        received_at="2026-11-24T09:15:00.125000+00:00",
        counts=Counts(received=accepted + rejected, accepted=accepted, rejected=rejected),
        accepted=[AcceptedEvent(index=0, event_id=_ID)] * accepted,
        duplicates=[],
        rejected=[rejected_event] * rejected,
    ).model_dump()


_MESSAGE_ID = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\MessageIdStamp"
EXAMPLE_MESSAGE: dict[str, Any] = {
    "data": {"id": "6740a1", "amount": 12.5, "status": "created"},
    "headers": {
        "type": r"Holded\Wallet\Domain\Transaction\Events\WalletTransactionCreatedEvent",
        "targetSubscription": "wallet_events",
        r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\NewContextStamp": {
            "accountId": "5f0c9b7e18a2",
            "userId": "5f0c9b7e18a3",
        },
        r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\TimestampStamp": {"dispatchedAt": 1795511700000},
        _MESSAGE_ID: {"id": _ID},
    },
}
"""A message as Holded's services send it."""

EXAMPLE_STORED_EVENT = {
    "event_id": _ID,
    "correlation_id": _PACKAGE,
    "received_at": "2026-11-24T09:15:00.125000+00:00",
    "sender": "wallet",
    "event": EXAMPLE_MESSAGE,
}
"""The stored form of that message."""

EXAMPLE_METRICS = """# HELP holded_api_requests_total Responses sent
# TYPE holded_api_requests_total counter
holded_api_requests_total{method="POST",route="/collect",status="202"} 41.0
# HELP holded_api_queue_packages Packages waiting for the store
# TYPE holded_api_queue_packages gauge
holded_api_queue_packages 0.0
"""
"""Some of the metrics."""

_OTHER_MESSAGE = EXAMPLE_MESSAGE | {"headers": EXAMPLE_MESSAGE["headers"] | {_MESSAGE_ID: {"id": _PACKAGE}}}
_EVENT = {"type": "object", "description": "an event, as the producer sends it"}
REQUEST_BODY = {
    "required": True,
    "description": "One event, or an array of events; with application/x-ndjson one event a line. "
    "Compressed if it has `Content-Encoding: gzip`.",
    "content": {
        "application/json": {
            "schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]},
            "examples": {
                "one": {"summary": "one event", "value": EXAMPLE_MESSAGE},
                "several": {"summary": "a package", "value": [EXAMPLE_MESSAGE, _OTHER_MESSAGE]},
            },
        },
        "application/x-ndjson": {
            "schema": {"type": "string"},
            "examples": {"lines": {"value": f"{json.dumps(EXAMPLE_MESSAGE)}\n{json.dumps(_OTHER_MESSAGE)}\n"}},
        },
    },
}
STORED_EVENT_SCHEMA = {
    "type": "object",
    "required": ["event_id", "correlation_id", "received_at", "event"],
    "properties": {
        "event_id": {"type": "string"},
        "correlation_id": {"type": "string"},
        "received_at": {"type": "string"},
        "sender": {"type": "string", "description": "the name of the API key that sent it; not in older events"},
        "event": {"type": "object"},
    },
}
PAGE_SCHEMA = {
    "type": "object",
    "required": ["events", "next_cursor"],
    "properties": {
        "events": {"type": "array", "items": STORED_EVENT_SCHEMA},
        "next_cursor": {"type": ["string", "null"]},
    },
}
