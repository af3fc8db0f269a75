"""Webhooks of two services, as their receiver stored them: one prefix, two shapes, a schema for each type.

    python examples/webhooks.py                         starts real servers and stops them at the end
    python examples/webhooks.py --keep data             the same, and keeps the data

The receiver checks each signature over the bytes of the request before it stores anything; later those bytes are gone.
Here it stored `{"headers": ..., "body": ...}`. The signature is no part of the event, so it does not reach the table;
raw/ and dead letters still have it. One service (its events are like Stripe's) says in the body what happened, the
other (like GitHub) in the headers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
from small_example import lines_of, print_rejected, print_rows, run_on_servers, store_sample

RAW = "webhooks/raw/"
REJECTED = "webhooks/rejected/"

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "pay.invoice.paid": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "properties": {
                    "object": {
                        "type": "object",
                        "required": ["id", "amount_paid", "currency"],
                        "properties": {"amount_paid": {"type": "integer"}},
                    }
                }
            }
        },
    },
    "code.push": {"type": "object", "required": ["ref", "repository", "commits"]},
}


def webhook(document: Any, source: hp.Source) -> hp.Event:
    """An envelope: a stored request of either service."""
    headers = {name.lower(): value for name, value in document["headers"].items()}  # senders write them in any case
    body = document["body"]
    received_at = datetime.fromisoformat(document["received_at"])
    if body.get("object") == "event":
        return payment_event(body, source)
    if "x-github-event" in headers:
        return code_event(headers, body, received_at, source)
    raise hp.RejectRecord("unknown_sender", "neither a payment event nor a request with the header X-GitHub-Event")


def payment_event(body: Mapping[str, Any], source: hp.Source) -> hp.Event:
    """Has its own id, type and time, in seconds. An event that the service sends again has the same id."""
    return hp.Event(
        id=body["id"],
        type=f"pay.{body['type']}",
        company_id=body.get("account", "own"),  # absent for the account that the webhook belongs to
        occurred_at=datetime.fromtimestamp(body["created"], UTC),
        data=body,
        source=source,
    )


def code_event(
    headers: Mapping[str, str], body: Mapping[str, Any], received_at: datetime, source: hp.Source
) -> hp.Event:
    """Has its type and id in headers, and no time that all types share, so the time of receipt counts."""
    return hp.Event(
        id=headers["x-github-delivery"],
        type=f"code.{headers['x-github-event']}",
        company_id=body["repository"]["owner"]["login"],
        user_id=body["sender"]["login"],
        occurred_at=received_at,
        data=body,
        source=source,
    )


def is_test(event: hp.Event) -> bool:
    """Whether a payment was made in the service's test mode."""
    return event.data.get("livemode") is False


def request(headers: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
    """A request as the receiver stored it."""
    return {"received_at": "2026-01-12T10:00:05Z", "headers": headers, "body": body}


def sample() -> list[dict[str, Any]]:
    """A payment, the same sent again, a test payment, a push, and two requests that are rejected."""
    invoice = {"id": "in_1", "amount_paid": 12100, "currency": "eur"}
    paid = {"object": "event", "type": "invoice.paid", "created": 1768212000, "account": "acct_7"}
    signed = {"Stripe-Signature": "t=1768212000,v1=0d9f"}
    first = request(signed, {**paid, "id": "evt_1", "livemode": True, "data": {"object": invoice}})
    push = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
    commits = {
        "ref": "refs/heads/main",
        "repository": {"owner": {"login": "bakery"}},
        "sender": {"login": "ada"},
        "commits": [],
    }
    return [
        first,
        first,
        request(signed, {**paid, "id": "evt_2", "livemode": False, "data": {"object": invoice}}),
        request(push, commits),
        request({**push, "X-GitHub-Event": "star"}, commits),  # no schema for its type
        request({"User-Agent": "curl"}, {"hello": "world"}),  # of neither service
    ]


def build(pipeline: beam.Pipeline, lake: hp.MinIO, db: hp.Postgres) -> None:
    """The pipeline: an event of a type without a schema is rejected, and replayed when there is one."""
    raw = pipeline | hp.ReadMinIO(lake, RAW, envelope=webhook)
    kept = raw.passed | hp.DropEvents(is_test, reason="test_mode")
    checked = kept.passed | hp.ValidateSchema(SCHEMAS, subject="{type}")
    loaded = checked.passed | hp.WritePostgres(db)
    _ = [step.rejected for step in (raw, kept, checked, loaded)] | hp.WriteRejected(lake, REJECTED)


def show(lake: hp.MinIO, db: hp.Postgres) -> int:
    """Runs the pipeline once; returns 0 if every request is a row, a duplicate, dropped, or a dead letter."""
    store_sample(lake, f"{RAW}2026-01-12T10.jsonl", lines_of(sample()))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, lake, db)
    report = hp.run(pipeline)
    print(report)
    print("\nevents:")
    columns = "event_id, event_type, company_id, user_id, occurred_at"
    print_rows(db, f"SELECT {columns} FROM business_events WHERE source->>'key' LIKE 'webhooks/%' ORDER BY 1")
    print("\nrejected:")
    print_rejected(lake, REJECTED)
    return 0 if report.is_balanced else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every request is accounted for."""
    return run_on_servers(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
