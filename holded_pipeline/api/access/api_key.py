"""An API key: what it may do, for whom, and until when."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

import attrs

from holded_pipeline.servers.secret import Secret

Scope = Literal["collect", "read", "metrics", "admin"]
"""What a key may do; `admin` may do everything."""

SCOPES: Final[tuple[str, ...]] = get_args(Scope)
SHORTEST_KEY: Final = 16
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def digest_of(key: str) -> bytes:
    """What is kept of a key, and looked up for a request: its SHA-256.

    A fast hash is right here. A slow one (bcrypt, Argon2) makes it costly to try likely passwords, and API keys are
    long random values, of which nobody can try a useful part. It would cost each request tenths of a second.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _parse_scopes(scopes: Any) -> frozenset[str]:
    found = _parse_texts(scopes, "scopes", "'collect'")
    unknown = sorted(found.difference(SCOPES))
    if unknown:
        raise ValueError(f"there is no scope {unknown[0]!r}; the scopes of an API key are {', '.join(SCOPES)}")
    if not found:
        raise ValueError(f"an API key needs at least one scope of {', '.join(SCOPES)}")
    return found


def _parse_companies(companies: Any) -> frozenset[str] | None:
    if companies is None:
        return None
    found = _parse_texts(companies, "companies", "'5aa9d24b0d12d65fe50d0d20'")
    if not found:
        raise ValueError("companies is empty, so the API key could send nothing; give account ids, or None for all")
    return found


def _parse_texts(texts: Any, name: str, example: str) -> frozenset[str]:
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise TypeError(
            f"the {name} of an API key are a list of texts, such as [{example}], not {type(texts).__name__}"
        )
    found = list(texts)
    if wrong := [each for each in found if not isinstance(each, str) or not each.strip()]:
        raise TypeError(f"the {name} of an API key are texts that are not blank, got {wrong[0]!r}")
    return frozenset(found)


def _validate_expiry(_: object, __: object, expires_at: Any) -> None:
    if expires_at is not None and (not isinstance(expires_at, datetime) or expires_at.tzinfo is None):
        raise ValueError(
            f"expires_at of an API key is a time with a time zone, such as 2027-01-01T00:00:00Z, not {expires_at!r}"
        )


def _validate_sha256(_: object, __: object, sha256: Any) -> None:
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise ValueError(
            "sha256 of an API key is not 64 hexadecimal digits in lower case; `holded-pipeline key new` prints them"
        )


def _parse_key(key: Secret | str | None) -> Secret | None:
    return None if key is None else Secret.of(key)


@attrs.frozen
class ApiKey:
    """An API key and what it may do.

    Attributes:
        key: the key: a long random text. None if `sha256` is given.
        sha256: its SHA-256 instead, 64 hexadecimal digits, so that whoever reads the settings does not get the key.
        scopes: what it may do: `collect` (send events), `read` (read events of all senders), `metrics`, or `admin` for
            everything.
        companies: the account ids of the companies that it may send events of; None for all. Reading is not limited
            by company, so such a key may have no scope but `collect`.
        expires_at: from when on it is refused; None for never.

    Raises:
        ValueError: a scope is unknown, `expires_at` has no time zone, or there is not one of `key` and `sha256`.
        TypeError: scopes or companies are not a list of texts.

    Example:
        >>> shop = ApiKey(hp.Secret.env("SHOP_KEY"), scopes=["collect"], companies=["5aa9d24b0d12d65fe50d0d20"])
    """

    key: Secret | None = attrs.field(default=None, converter=_parse_key)
    sha256: str | None = attrs.field(default=None, kw_only=True, validator=_validate_sha256, repr=False)
    scopes: frozenset[str] = attrs.field(default=("collect",), kw_only=True, converter=_parse_scopes)
    companies: frozenset[str] | None = attrs.field(default=None, kw_only=True, converter=_parse_companies)
    expires_at: datetime | None = attrs.field(default=None, kw_only=True, validator=_validate_expiry)

    def __attrs_post_init__(self) -> None:
        """Refuses what no single field shows."""
        if (self.key is None) == (self.sha256 is None):
            raise ValueError("give an ApiKey the key itself, or its sha256, and not both")
        if self.companies is not None and self.scopes != {"collect"}:
            raise ValueError(
                "an API key with companies may have the scope collect alone, since reading is not limited by company; "
                "make another key for the other scopes"
            )

    @classmethod
    def of(cls, key: ApiKey | Secret | str) -> ApiKey:
        """A plain text or secret becomes a key that may only collect; an `ApiKey` stays as it is."""
        return key if isinstance(key, ApiKey) else cls(key)

    def may(self, scope: Scope) -> bool:
        """Whether it has a scope."""
        return scope in self.scopes or "admin" in self.scopes

    def is_expired(self, now: datetime | None = None) -> bool:
        """Whether it is no longer accepted."""
        return self.expires_at is not None and (now or datetime.now(UTC)) >= self.expires_at

    def digest(self, name: str) -> bytes:
        """Its SHA-256.

        Args:
            name: names the key in the message.

        Raises:
            ValueError: the key is too short, or cannot be sent in a header.
            ConfigurationError: its environment variable is not set.
        """
        if self.sha256 is not None:
            return bytes.fromhex(self.sha256)
        assert self.key is not None  # noqa: S101  one of the two is there
        return digest_of(_validate_api_key(name, self.key.reveal()))


def _validate_api_key(name: str, key: str) -> str:
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"the API key {name!r} is shorter than {SHORTEST_KEY} characters; generate a longer one")
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise ValueError(
            f"the API key {name!r} has characters that an HTTP header cannot carry, such as a line end or a letter"
            " that is not ASCII; remove them, or generate another key"
        )
    return key
