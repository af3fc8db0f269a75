"""API keys, and rate limits for each key or address."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.security import APIKeyHeader, HTTPBearer
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Limits
from holded_pipeline.api.watching.current_request import note_key
from holded_pipeline.servers.secret import Secret

HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="one of the API keys")
BEARER = HTTPBearer(auto_error=False, description="an API key as a bearer token")
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")
_SHORTEST_KEY = 16


class Authenticator:
    """Authenticates requests by API key and limits their rate. Without keys only this machine is answered.

    Args:
        keys: the API keys by the names that metrics show.
        limits: see `Limits`.

    Raises:
        ValueError: a key is too short or cannot be sent in a header, or two keys are the same.
        ConfigurationError: the environment variable of a key is not set.
    """

    def __init__(self, keys: Mapping[str, Secret | str], limits: Limits) -> None:
        self._keys = {name: _digest(_validate_api_key(name, Secret.of(key).reveal())) for name, key in keys.items()}
        if len(set(self._keys.values())) != len(self._keys):
            raise ValueError("two API keys are the same; give each client a key of its own")
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._rate_limits = [] if limits.rate is None else parse_many(limits.rate)
        self._wrong_key_limits = [] if limits.wrong_keys is None else parse_many(limits.wrong_keys)

    @property
    def has_keys(self) -> bool:
        """Whether requests need a key."""
        return bool(self._keys)

    async def authenticate(self, request: Request) -> str:
        """The name of the request's key; `loopback` if the server has no keys.

        Raises:
            Problem: 401, 403 or 429.
        """
        address = _address(request)
        name = self._key_name(request, address) if self._keys else _require_local(request)
        note_key(name)
        self._count(self._rate_limits, f"key {name}" if self._keys else f"address {address}", "requests")
        return name

    def _key_name(self, request: Request, address: str) -> str:
        key = request.headers.get("x-api-key") or _bearer(request.headers.get("authorization", ""))
        digest = _digest(key)
        name: str | None = None
        for known, expected in self._keys.items():  # all of them, so that the time does not show which one matched
            if hmac.compare_digest(digest, expected):
                name = known
        if name is not None:
            return name
        self._count(self._wrong_key_limits, f"wrong {address}", "requests with a wrong key")
        raise Problem(
            401,
            "no_valid_key",
            "send a valid API key as X-API-Key, or as a bearer token in Authorization",
            {"WWW-Authenticate": "Bearer"},
        )

    def _count(self, rates: Sequence[RateLimitItem], key: str, what: str) -> None:
        """Counts a request for all rates; a request that exceeds one of them counts for none.

        Raises:
            Problem: 429; the request exceeds a rate.
        """
        rate = next((each for each in rates if not self._limiter.test(each, key)), None)
        if rate is None:
            for each in rates:
                self._limiter.hit(each, key)
            return
        reset = self._limiter.get_window_stats(rate, key).reset_time
        seconds = max(1, round(reset - time.time() + 0.5))
        raise Problem(
            429,
            "too_many_requests",
            f"more than {rate.amount} {what} in {rate.get_expiry()} s; wait {seconds} s, and send larger packages",
            {"Retry-After": str(seconds)},
        )


def _validate_api_key(name: str, key: str) -> str:
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"the API key {name!r} is shorter than {_SHORTEST_KEY} characters; generate a longer one")
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise ValueError(
            f"the API key {name!r} has characters that an HTTP header cannot carry, such as a line end or a letter"
            " that is not ASCII; remove them, or generate another key"
        )
    return key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _address(request: Request) -> str:
    """The address that a rate limit counts by; for IPv6 its /64 network, since one client usually has a whole one."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:  # noqa: PLR2004  IPv4
        return host
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((address, 64), strict=False))


def _require_local(request: Request) -> str:
    """Returns `loopback` if the request comes from this machine itself.

    Raises:
        Problem: 403; it does not, or a proxy passed it on.
    """
    client = request.client.host if request.client else ""
    proxied = any(header in request.headers for header in _PROXY_HEADERS)
    if is_loopback(client) and not proxied and _names_this_machine(request.headers.get("host", "")):
        return "loopback"
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
