"""Documents of the domains around the wallet: invoices, contacts, products, payments."""

from __future__ import annotations

import random
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

_TAX_RATES = (0, 4, 10, 21)


def _line(rng: random.Random) -> dict[str, Any]:
    units, price = rng.randrange(1, 25), money(rng, 1, 900)
    return {
        "productId": object_id(rng),
        "description": rng.choice(words.PRODUCTS),
        "units": units,
        "price": price,
        "taxRate": rng.choice(_TAX_RATES),
        "total": round(units * price, 2),
    }


def invoice(context: Context) -> dict[str, Any]:
    """An invoice that was issued."""
    rng = context.rng
    lines = [_line(rng) for _ in range(rng.randrange(1, 5))]
    subtotal = round(sum(line["total"] for line in lines), 2)
    tax = round(sum(line["total"] * line["taxRate"] for line in lines) / 100, 2)
    total = round(subtotal + tax, 2)
    if random_bool(rng, 0.02):  # somebody rounded every line
        total = round(total + 0.05, 2)
    fields = {
        "number": f"F{context.at:%y}-{rng.randrange(1, 99_999):05d}",
        "contact": {"id": object_id(rng), "name": rng.choice(words.COMPANIES)},
        "date": f"{context.at:%Y-%m-%d}",
        "dueDate": f"{context.at + timedelta(days=rng.choice((0, 15, 30, 60))):%Y-%m-%d}",
        "currency": rng.choice(words.COUNTRIES).currency,
        "lines": lines,
        "subtotal": subtotal,
        "tax": tax,
        "total": total,
        "amount": total,
        "notes": rng.choice(words.NOTES),
    }
    return document(context, ("draft", "sent", "paid", "overdue"), fields)


def contact(context: Context) -> dict[str, Any]:
    """A client or supplier."""
    rng = context.rng
    country, name = rng.choice(words.COUNTRIES), rng.choice(words.COMPANIES)
    fields = {
        "name": name,
        "kind": rng.choice(("client", "supplier", "lead", "creditor")),
        "vatNumber": value_or_none(rng, f"{country.code}{digits(rng, 9)}"),
        "email": value_or_none(rng, email(rng, name), 0.9),
        "phone": value_or_none(rng, f"{country.dial}{digits(rng, 9)}", 0.7),
        "website": value_or_none(rng, f"https://www.example.com/{digits(rng, 4)}", 0.4),
        "address": address(rng, country),
        "iban": value_or_none(rng, iban(rng, country.code), 0.5),
        "persons": [{"name": words.person(rng), "role": rng.choice(("buyer", "accountant", "owner"))}],
        "tags": rng.sample(words.TAGS, rng.randrange(3)),
    }
    return document(context, ("active", "archived"), fields)


def product(context: Context) -> dict[str, Any]:
    """A product whose card was changed."""
    rng = context.rng
    currency = rng.choice(words.COUNTRIES).currency
    price = money(rng, 1, 2_500)
    fields = {
        "sku": f"{rng.choice(('AC', 'MB', 'FX', 'ÑD'))}-{digits(rng, 6)}",
        "name": rng.choice(words.PRODUCTS),
        "description": f"{rng.choice(words.PRODUCTS)}. {rng.choice(words.NOTES)}",
        "price": {"amount": price, "currency": currency},
        "cost": value_or_none(rng, {"amount": round(price * 0.6, 2), "currency": currency}),
        "taxRate": rng.choice(_TAX_RATES),
        "stock": [
            {"warehouse": name, "units": rng.randrange(-3, 900)}
            for name in ("Almacén central", "Tienda")[: rng.randrange(1, 3)]
        ],
        "weightKg": value_or_none(rng, round(rng.random() * 30, 3), 0.7),
        "barcode": value_or_none(rng, digits(rng, 13), 0.6),
        "changedFields": rng.sample(("price", "stock", "description", "barcode"), rng.randrange(1, 4)),
    }
    return document(context, ("draft", "for_sale", "discontinued"), fields)


def payment(context: Context) -> dict[str, Any]:
    """A payment that was received."""
    rng = context.rng
    country = rng.choice(words.COUNTRIES)
    amount = money(rng, 5, 20_000)
    fields = {
        "amount": amount,
        "currency": country.currency,
        "fee": round(amount * rng.choice((0.0, 0.014, 0.029)), 2),
        "method": rng.choice(("transfer", "card", "direct_debit", "cash", "bizum")),
        "receivedAt": iso(context.at - timedelta(seconds=rng.randrange(1, 3_000))),
        "payer": {"name": rng.choice(words.COMPANIES), "iban": value_or_none(rng, iban(rng, country.code), 0.7)},
        "invoices": [
            {"id": object_id(rng), "amount": round(amount / count, 2)}
            for count in (rng.randrange(1, 4),)
            for _ in range(count)
        ],
        "bankReference": f"{rng.choice(words.CONCEPTS)} {digits(rng, 8)}",
        "reconciled": random_bool(rng, 0.5),  # half of them
    }
    return document(context, ("received", "matched", "refunded"), fields)
