"""Documents of the wallet: the field `data` of its events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from holded_pipeline.testing.samples import vocabulary as words
from holded_pipeline.testing.samples.document_fields import (
    Context,
    address,
    digits,
    document,
    email,
    iban,
    iso,
    money,
    object_id,
    random_bool,
    value_or_none,
)


def transaction(context: Context) -> dict[str, Any]:
    """A movement on a wallet."""
    rng = context.rng
    country = rng.choice(words.COUNTRIES)
    amount = money(rng, 0.5, 9_000)
    fields = {
        "walletAccountId": object_id(rng),
        "amount": amount if random_bool(rng, 0.4) else -amount,  # more is spent than received
        "currency": country.currency,
        "balanceAfter": money(rng, 0, 80_000),
        "kind": rng.choice(("card", "transfer", "direct_debit", "fee")),
        "concept": rng.choice(words.CONCEPTS),
        "merchant": {
            "name": rng.choice(words.COMPANIES),
            "categoryCode": rng.choice(("5411", "5812", "4111", "7372", "5541")),
            "country": country.code,
        },
        "card": value_or_none(rng, {"lastDigits": digits(rng, 4), "holder": words.person(rng)}, 0.6),
        "tags": rng.sample(words.TAGS, rng.randrange(3)),
    }
    return document(context, ("pending", "settled", "declined", "reversed"), fields)


def account(context: Context) -> dict[str, Any]:
    """A wallet's account."""
    rng = context.rng
    country = rng.choice(words.COUNTRIES)
    fields = {
        "holderId": object_id(rng),
        "alias": rng.choice(words.CONCEPTS),
        "iban": iban(rng, country.code),
        "bic": value_or_none(rng, f"HOLD{country.code}{rng.choice(('2X', 'MM', 'BB'))}"),
        "amount": money(rng, 0, 250_000),
        "currency": country.currency,
        "provider": rng.choice(("swan", "internal")),
        "limits": {"dailyTransfer": rng.choice((1_000, 5_000, 20_000)), "monthlyCard": rng.choice((2_000, 15_000))},
    }
    return document(context, ("opening", "active", "suspended", "closed"), fields)


def account_holder(context: Context) -> dict[str, Any]:
    """A person or company that holds an account."""
    rng = context.rng
    country, name = rng.choice(words.COUNTRIES), words.person(rng)
    fields = {
        "fullName": name,
        "email": email(rng, name),
        "phone": value_or_none(rng, f"{country.dial}{digits(rng, 9)}"),
        "birthDate": value_or_none(
            rng, f"{rng.randrange(1945, 2006)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
        ),
        "nationality": value_or_none(rng, country.code, 0.9),
        "address": address(rng, country),
        "verification": {
            "level": rng.choice(("none", "basic", "full")),
            "pendingDocuments": rng.sample(("passport", "deed", "tax_form"), rng.randrange(3)),
        },
        "changedFields": rng.sample(("email", "phone", "address", "verification"), rng.randrange(1, 4)),
    }
    return document(context, ("pending", "verified", "rejected"), fields)


def user(context: Context) -> dict[str, Any]:
    """Somebody who works with Holded."""
    rng = context.rng
    country, name = rng.choice(words.COUNTRIES), words.person(rng)
    fields = {
        "name": name,
        "email": email(rng, name),
        "locale": country.locale,
        "timeZone": country.time_zone,
        "roles": rng.sample(("owner", "accountant", "sales", "warehouse", "viewer"), rng.randrange(1, 4)),
        "twoFactorEnabled": random_bool(rng, 0.5),  # half of them
        "lastLoginAt": value_or_none(rng, iso(context.at - timedelta(minutes=rng.randrange(1, 90_000)))),
        "avatar": value_or_none(rng, f"https://cdn.example.com/avatars/{object_id(rng)}.png", 0.5),
    }
    return document(context, ("invited", "active", "disabled"), fields)


def subscription(context: Context) -> dict[str, Any]:
    """A subscription whose payment failed."""
    rng = context.rng
    country = rng.choice(words.COUNTRIES)
    attempt = rng.randrange(1, 5)
    fields = {
        "plan": rng.choice(("free", "plus", "basic", "standard", "advanced", "premium")),
        "billingPeriod": rng.choice(("monthly", "yearly")),
        "amount": rng.choice((7.5, 14.5, 29.0, 59.0, 99.0, 199.0)),
        "currency": country.currency,
        "failure": {
            "code": rng.choice(("insufficient_funds", "card_expired", "do_not_honor", "processor_down")),
            "message": rng.choice(words.FAILURES),
            "attempt": attempt,
        },
        "nextRetryAt": iso(context.at + timedelta(days=attempt)) if attempt < 4 else None,  # noqa: PLR2004  the last
        "seats": rng.randrange(1, 40),
    }
    return document(context, ("past_due", "unpaid", "cancelled"), fields)
