"""Which part of the business an event belongs to, read off its type."""

from __future__ import annotations

import functools
import re

OTHER = "other"
"""The context of every type that belongs to no other."""

_CONTEXTS = {
    "Transaction": "financial",
    "Account": "account_management",
    "AccountHolder": "account_management",
    "User": "user_management",
    "Subscription": "subscription",
}
_WORDS = {name.lower(): name for name in _CONTEXTS if name != "AccountHolder"}
_PART = re.compile(r"[./:]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def business_context_of(event_type: str) -> str:
    """The business context: `financial`, `account_management`, `user_management`, `subscription` or `other`.

    See `aggregate_of` for how a type is read.
    """
    return _CONTEXTS.get(aggregate_of(event_type) or "", OTHER)


@functools.lru_cache(maxsize=4096)  # a run meets few types, many times each
def aggregate_of(event_type: str) -> str | None:
    r"""The aggregate that a type speaks of, e.g. `Transaction`; None where the type does not tell.

    In a PHP class it is the segment of the namespace after `Domain`, whatever that is: `Invoice` in
    `Holded\Accounting\Domain\Invoice\Events\InvoiceIssued`; without one, a segment of the namespace that has a
    context. In a name without a namespace (`WalletTransactionCreatedEvent`, `account_holder.updated`) it is the
    last word that has a context, in the first of its parts that holds one.
    """
    *namespace, name = event_type.strip("\\").split("\\")
    if not namespace:
        parts = (_in_words(part) for part in _PART.split(name))
        return next((aggregate for aggregate in parts if aggregate), None)
    if "Domain" in namespace[:-1]:
        return namespace[namespace.index("Domain") + 1]
    return next((segment for segment in namespace if segment in _CONTEXTS), None)


def _in_words(part: str) -> str | None:
    words = [word.lower() for word in _WORD.findall(part)]
    for place in range(len(words) - 1, -1, -1):
        word = words[place].removesuffix("s")
        if word == "holder" and place and words[place - 1] == "account":
            return "AccountHolder"
        if word in _WORDS:
            return _WORDS[word]
    return None
