"""Who sends a request and whether it may: API keys with scopes, and rate limits for each key or address."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.security import APIKeyHeader, HTTPBearer
from limits import parse_many

from holded_pipeline.api.access.api_key import SCOPES, Scope
from holded_pipeline.api.access.audit import Audit, audited_route
from holded_pipeline.api.access.caller import LOOPBACK, Caller
from holded_pipeline.api.access.client_address import client_address
from holded_pipeline.api.access.key_source import Keys, KeySource
from holded_pipeline.api.access.rate_counter import RateCounter
from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Limits
from holded_pipeline.api.watching.current_request import note_key

HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="one of the API keys")
BEARER = HTTPBearer(auto_error=False, description="an API key as a bearer token")
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")


class Authenticator:
    """Authenticates requests by API key, sees that the key has the scope of the route, and limits their rate.

    Without keys only this machine is answered, and may do everything.

    Args:
        keys: the API keys by the names that metrics show, or a file of them.
        limits: see `Limits`.
        audit: where refusals are logged.

    Raises:
        ValueError: a key is too short or cannot be sent in a header, or two keys are the same.
        ConfigurationError: the environment variable of a key is not set.
    """

    def __init__(self, keys: Keys, limits: Limits, audit: Audit) -> None:
        self._keys = KeySource(keys, audit)
        self._audit = audit
        self._rates = RateCounter(limits.rate_storage)
        self._rate_limits = [] if limits.rate is None else parse_many(limits.rate)
        self._wrong_key_limits = [] if limits.wrong_keys is None else parse_many(limits.wrong_keys)

    @property
    def has_keys(self) -> bool:
        """Whether requests need a key."""
        return self._keys.is_set_up

    def open(self) -> None:
        """Reads the file of keys, if there is one, and looks at it from then on.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        self._keys.open()

    def close(self) -> None:
        """Looks at the file no longer."""
        self._keys.close()
        self._audit.close()

    async def authenticate(self, request: Request, scope: Scope) -> Caller:
        """Who sends the request.

        Raises:
            Problem: 401, 403 or 429.
        """
        host = request.client.host if request.client else ""
        caller = await self._caller_of_key(request, host) if self._keys.is_set_up else self._local_caller(request, host)
        note_key(caller.name)
        rated = f"key {caller.name}" if self._keys.is_set_up else f"address {client_address(host)}"
        try:
            await self._rates.count(self._rate_limits, rated, "requests")
        except Problem:
            self._refuse("rate_exceeded", request, caller.name)
            raise
        if scope in caller.scopes or "admin" in caller.scopes:
            return caller
        self._refuse("missing_scope", request, caller.name)
        raise Problem(
            403,
            "missing_scope",
            f"the API key {caller.name!r} lacks the scope {scope!r}; add it to the key's scopes: "
            f"in ApiKey, key file or [api.keys.{caller.name}]",
        )

    async def _caller_of_key(self, request: Request, host: str) -> Caller:
        sent = request.headers.get("x-api-key") or _bearer(request.headers.get("authorization", ""))
        found = self._keys.keyring.find(sent)
        if found is not None and not found[1].is_expired():
            key = found[1]
            return Caller(found[0], key.scopes, key.companies, host)
        name = None if found is None else found[0]
        try:
            await self._rates.count(
                self._wrong_key_limits, f"wrong {client_address(host)}", "requests with a wrong key"
            )
        except Problem:
            self._refuse("rate_exceeded", request, name)
            raise
        self._refuse("wrong_key" if found is None else "expired_key", request, name)
        if found is not None:
            detail = (
                f"the API key {name!r} expired at {found[1].expires_at}; ask the operators of this server for a new one"
            )
            raise Problem(401, "expired_key", detail, {"WWW-Authenticate": "Bearer"})
        raise Problem(
            401,
            "no_valid_key",
            "send a valid API key as X-API-Key, or as a bearer token in Authorization",
            {"WWW-Authenticate": "Bearer"},
        )

    def _local_caller(self, request: Request, host: str) -> Caller:
        try:
            _require_local(request)
        except Problem:
            self._refuse("not_local", request, None)
            raise
        return Caller(LOOPBACK, frozenset(SCOPES), None, host)

    def _refuse(self, reason: str, request: Request, name: str | None) -> None:
        address = request.client.host if request.client else ""
        self._audit.refuse(reason, route=audited_route(request), address=address, key=name)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _require_local(request: Request) -> None:
    """Sees that the request comes from this machine itself.

    Raises:
        Problem: 403; it does not, or a proxy passed it on.
    """
    client = request.client.host if request.client else ""
    proxied = any(header in request.headers for header in _PROXY_HEADERS)
    if is_loopback(client) and not proxied and _names_this_machine(request.headers.get("host", "")):
        return
    raise Problem(
        403,
        "no_keys_set_up",
        "this server has no API keys and answers only requests from its own machine to localhost; start it with keys",
    )


def is_loopback(address: str) -> bool:
    """Whether this is an IP address of this machine alone."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def _names_this_machine(host: str) -> bool:
    """Whether a Host header names this machine: localhost, a loopback address, or a name without a dot.

    A web site may point its own domain to 127.0.0.1, so that its pages can read from this server (DNS rebinding).
    Nobody can register a domain without a dot.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return ("." not in name and ":" not in name) or name.endswith(".localhost") or is_loopback(name)
