"""Who sends a request, as the API knows it."""

from __future__ import annotations

import attrs

LOOPBACK = "loopback"
"""The name of callers on this machine, if the server has no keys."""


@attrs.frozen
class Caller:
    """Who sends a request.

    Attributes:
        name: the name of the API key; `loopback` if the server has no keys.
        scopes: what it may do.
        companies: the companies that it may send events of; None for all.
        address: the IP address that the request comes from.
    """

    name: str
    scopes: frozenset[str]
    companies: frozenset[str] | None
    address: str

    def may_send(self, company_ids: frozenset[str]) -> bool:
        """Whether it may send an event of these companies. An event without any is of no company that it may send."""
        return self.companies is None or (bool(company_ids) and company_ids <= self.companies)
