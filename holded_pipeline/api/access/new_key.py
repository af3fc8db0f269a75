"""Makes a new random API key, and its entry for the key file."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime

import attrs

from holded_pipeline.api.access.api_key import SCOPES, ApiKey, digest_of
from holded_pipeline.api.access.keyring import validate_key_name

_BYTES = 32
_PREFIX = "holded_"  # so that scanners for leaked keys can find one


@attrs.frozen
class NewKey:
    """A new key; the only place where it is in the clear.

    Attributes:
        name: its name.
        key: the key, to be given to the client.
        entry: what it may do, with its hash.
    """

    name: str
    key: str = attrs.field(repr=False)
    entry: ApiKey

    def document(self) -> dict[str, object]:
        """The entry as a JSON value."""
        document: dict[str, object] = {"name": self.name, "sha256": self.entry.sha256, "scopes": self._scopes()}
        if self.entry.companies is not None:
            document["companies"] = sorted(self.entry.companies)
        if self.entry.expires_at is not None:
            document["expires_at"] = self.entry.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return document

    def toml(self) -> str:
        """The entry as TOML, to be appended to a key file."""
        lines = [f"[[keys]]  # made {datetime.now(UTC):%Y-%m-%d}"]
        for name, value in self.document().items():
            # A JSON string is a TOML one as well; a time has no quotes.
            lines.append(f"{name} = {value if name == 'expires_at' else json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines) + "\n"

    def _scopes(self) -> list[str]:
        return [scope for scope in SCOPES if scope in self.entry.scopes]


def make_key(name: str, **settings: object) -> NewKey:
    """A new key of 256 random bits.

    Args:
        name: its name.
        settings: of its `ApiKey`: scopes, companies, expires_at.

    Raises:
        ValueError: the name or a setting cannot be used.
    """
    key = _PREFIX + secrets.token_urlsafe(_BYTES)
    entry = ApiKey(sha256=digest_of(key).hex(), **settings)  # type: ignore[arg-type]
    validate_key_name(name)
    return NewKey(name, key, entry)
