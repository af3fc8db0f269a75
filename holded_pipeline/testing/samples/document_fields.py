"""Builds the fields of sample documents: ids, amounts, addresses, and the fields that all of them have."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from holded_pipeline.testing.samples import vocabulary as words


class Context(NamedTuple):
    """The values that a document has to match.

    Attributes:
        rng: the only source of random values.
        company_id: the company that the document belongs to.
        at: when it is dispatched; the document was last changed shortly before.
    """

    rng: random.Random
    company_id: str
    at: datetime


Builder = Callable[[Context], dict[str, Any]]


def object_id(rng: random.Random) -> str:
    """24 hexadecimal digits, like the ids of Holded's document store."""
    return f"{rng.getrandbits(96):024x}"


def iso(moment: datetime) -> str:
    """The text that documents have for a time."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(rng: random.Random, low: float, high: float) -> float:
    """An amount with cents; small ones are frequent, large ones rare."""
    share = rng.random()
    return round(low + (high - low) * share * share * share, 2)


def random_bool(rng: random.Random, share: float) -> bool:
    """True in this share of the calls."""
    return rng.random() < share


def digits(rng: random.Random, count: int) -> str:
    """A text of `count` digits."""
    return f"{rng.randrange(10**count):0{count}d}"


def value_or_none(rng: random.Random, value: Any, share: float = 0.8) -> Any:
    """The value in this share of the calls, else None."""
    return value if random_bool(rng, share) else None


def iban(rng: random.Random, country: str) -> str:
    """A text like an account number; its check digits are random, too."""
    return f"{country}{digits(rng, 2)}{digits(rng, 20)}"


def email(rng: random.Random, name: str) -> str:
    """An address at a domain that nobody owns."""
    plain = "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())
    return f"{plain or 'contact'}{rng.randrange(100)}@{rng.choice(words.MAIL_DOMAINS)}"


def address(rng: random.Random, country: words.Country) -> dict[str, Any]:
    """A postal address."""
    return {
        "street": f"{rng.choice(country.streets)} {rng.randrange(1, 240)}",
        "city": rng.choice(country.cities),
        "postalCode": digits(rng, 5),
        "country": country.code,
    }


def document(context: Context, statuses: tuple[str, ...], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that every document has, around its own."""
    rng, updated = context.rng, context.at - timedelta(milliseconds=context.rng.randrange(5, 4_000))
    changes = rng.randrange(1, 9)
    created = updated if changes == 1 else updated - timedelta(minutes=rng.randrange(1, 400_000))
    if random_bool(rng, 0.01):  # a clock that is set wrong
        created, updated = updated + timedelta(minutes=1), created
    return {
        "id": object_id(rng),
        "companyId": context.company_id,
        **fields,
        "status": rng.choice(statuses),
        "version": changes,
        "createdAt": iso(created),
        "updatedAt": iso(updated),
    }
