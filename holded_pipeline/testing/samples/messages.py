"""Holded messages around sample documents: types, headers in every variant, and the form that the API stores."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from holded_pipeline.testing.samples import trade_documents as trade
from holded_pipeline.testing.samples import wallet_documents as wallet
from holded_pipeline.testing.samples.document_fields import Builder, Context, iso, object_id, random_bool

CONTEXT = r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\NewContextStamp"
TIMESTAMP = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\TimestampStamp"
MESSAGE_ID = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\MessageIdStamp"
_TRACKING = r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\AmplitudeTrackStamp"

_COMPANIES = 50
_NUMERIC_IDS = 3  # companies from the time when accounts had numbers
_MILLISECOND = timedelta(milliseconds=1)


@attrs.frozen
class EventKind:
    """A type of event.

    Attributes:
        type: its PHP class.
        subscription: the queue it is sent to.
        weight: how frequent it is, relative to the others.
        build: makes the document.
    """

    type: str
    subscription: str
    weight: int
    build: Builder


_WALLET = r"Holded\Wallet\Domain"
EVENT_KINDS = (
    EventKind(rf"{_WALLET}\Transaction\Events\WalletTransactionCreatedEvent", "wallet_events", 30, wallet.transaction),
    EventKind(rf"{_WALLET}\Account\Events\AccountCreatedEvent", "wallet_events", 6, wallet.account),
    EventKind(rf"{_WALLET}\AccountHolder\Events\AccountHolderUpdatedEvent", "wallet_events", 6, wallet.account_holder),
    EventKind(rf"{_WALLET}\User\Events\UserUpdatedEvent", "wallet_events", 8, wallet.user),
    EventKind(rf"{_WALLET}\Subscription\Events\WalletSubscriptionFailedEvent", "wallet_events", 4, wallet.subscription),
    EventKind(r"Holded\Accounting\Domain\Invoice\Events\InvoiceIssuedEvent", "accounting_events", 18, trade.invoice),
    EventKind(r"Holded\Crm\Domain\Contact\Events\ContactCreatedEvent", "crm_events", 10, trade.contact),
    EventKind(r"Holded\Inventory\Domain\Product\Events\ProductUpdatedEvent", "inventory_events", 8, trade.product),
    EventKind(r"Holded\Treasury\Domain\Payment\Events\PaymentReceivedEvent", "treasury_events", 10, trade.payment),
)
EVENT_TYPES = tuple(kind.type for kind in EVENT_KINDS)
"""The types of sample events, as their headers name them; `examples/schemas` has a schema for each."""


class Messages:
    """Makes messages, one after the other, from one source of random values.

    Args:
        rng: the only source of random values.
        start: the first moment at which an event may have occurred; aware.
        days: over how many days from `start` events are spread.
    """

    def __init__(self, rng: random.Random, start: datetime, days: float) -> None:
        self._rng = rng
        self._start = start
        self._milliseconds = max(1, round(days * 86_400_000))
        companies = random.Random(2026)  # noqa: S311  not for secrets; the same companies whatever the seed
        self._companies = [self._company(companies, index) for index in range(_COMPANIES)]
        self._sizes = [1 / (index + 1) for index in range(_COMPANIES)]
        self._weights = [kind.weight for kind in EVENT_KINDS]

    @staticmethod
    def _company(rng: random.Random, index: int) -> str:
        number, hexadecimal = str(rng.randrange(10_000, 99_999)), object_id(rng)
        return number if _COMPANIES // 2 <= index < _COMPANIES // 2 + _NUMERIC_IDS else hexadecimal

    def message(self) -> tuple[dict[str, Any], datetime]:
        """A message, and when it occurred."""
        rng = self._rng
        kind = rng.choices(EVENT_KINDS, self._weights)[0]
        company = rng.choices(self._companies, self._sizes)[0]
        at = self._start + rng.randrange(self._milliseconds) * _MILLISECOND
        data = kind.build(Context(rng, company, at))
        if random_bool(rng, 0.01):  # a document that was moved from another company
            data["companyId"] = rng.choice(self._companies)
        headers = self._headers(kind, company, at)
        return {"data": data, "headers" if random_bool(rng, 0.8) else "attributes": headers}, at  # most

    def _headers(self, kind: EventKind, company: str, at: datetime) -> dict[str, Any]:
        rng = self._rng
        message_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        milliseconds = (at - self._start) // _MILLISECOND + round(self._start.timestamp() * 1000)
        moment = rng.choices((milliseconds, iso(at), at.isoformat()), (6, 2, 1))[0]
        context: dict[str, Any] = {
            "accountId": int(company) if company.isdecimal() and random_bool(rng, 0.5) else company,  # both
            "userId": object_id(rng) if random_bool(rng, 0.85) else None,  # the others are done by machines
        }
        if random_bool(rng, 0.6):  # the others do not say
            context["requestPlatform"] = rng.choice(("web", "ios", "android", "api"))
        headers: dict[str, Any] = {
            "type": kind.type,
            "targetSubscription": kind.subscription,
            CONTEXT: context,
            TIMESTAMP: {"dispatchedAt": moment} if random_bool(rng, 0.7) else moment,  # most
            MESSAGE_ID: {"id": message_id} if random_bool(rng, 0.7) else message_id,  # most
        }
        if random_bool(rng, 0.3):  # tracked sessions
            headers[_TRACKING] = {"id": rng.getrandbits(40), "trackedDevice": rng.choice(("desktop", "mobile"))}
        return headers

    def collected(self, message: Mapping[str, Any], at: datetime, correlation_id: str) -> dict[str, Any]:
        """The message as the ingestion API stores it; a few are received late, fewer before they occurred."""
        rng = self._rng
        seconds = rng.randrange(1, 90)
        if random_bool(rng, 0.05):  # a queue that was stopped
            seconds = rng.randrange(3_700, 90_000)
        elif random_bool(rng, 0.01):  # a producer whose clock runs ahead
            seconds = -rng.randrange(400, 4_000)
        return {
            "event_id": self.new_id(),
            "correlation_id": correlation_id,
            "received_at": iso(at + timedelta(seconds=seconds)),
            "event": message,
        }

    def new_id(self) -> str:
        """A fresh UUID."""
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
