"""The part of the business that an event belongs to, derived from its type."""

from __future__ import annotations

import functools
import re

OTHER = "other"
"""The context of a type that has none of the others."""

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

    See `aggregate_of` for how it is derived.
    """
    return _CONTEXTS.get(aggregate_of(event_type) or "", OTHER)


@functools.lru_cache(maxsize=4096)  # a run has few types, each many times
def aggregate_of(event_type: str) -> str | None:
    r"""The aggregate in a type, e.g. `Transaction`; None if the type names none.

    In a PHP class it is the segment of the namespace after `Domain`: `Invoice` in
    `Holded\Accounting\Domain\Invoice\Events\InvoiceIssued`; without one, a segment of the namespace that has a
    context. In a name without a namespace (`WalletTransactionCreatedEvent`, `account_holder.updated`) it is the
    last word that has a context, in the first of its parts that has one.
    """
    *namespace, name = event_type.strip("\\").split("\\")
    if not namespace:
        parts = (_aggregate_in_name(part) for part in _PART.split(name))
        return next((aggregate for aggregate in parts if aggregate), None)
    if "Domain" in namespace[:-1]:
        return namespace[namespace.index("Domain") + 1]
    return next((segment for segment in namespace if segment in _CONTEXTS), None)


def _aggregate_in_name(part: str) -> str | None:
    words = [word.lower() for word in _WORD.findall(part)]
    for index in range(len(words) - 1, -1, -1):
        word = words[index].removesuffix("s")
        if word == "holder" and index and words[index - 1] == "account":
            return "AccountHolder"
        if word in _WORDS:
            return _WORDS[word]
    return None
