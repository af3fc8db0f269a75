"""The settings of a schema registry with Confluent's REST API."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlunsplit

import attrs

from holded_pipeline.schemas.registry_client import RegistryClient
from holded_pipeline.schemas.schema_rules import SchemaRules, parse_draft
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret
from holded_pipeline.servers.server_url import parse_http_url


@attrs.frozen(init=False)
class SchemaRegistry:
    """A schema registry with Confluent's REST API (Confluent, Karapace, Apicurio in that mode, and others).

    Constructing it does no I/O. Each worker requests the schemas it needs and caches them.

    Args:
        url: its URL, with a path if it has one.
        username: for basic authentication. User and password may be in the URL too, and are removed from it.
        password: the user's password, a `Secret` or a plain string that becomes one.
        token: for bearer authentication instead.
        verify: whether the server's certificate is checked, or the path of the CA bundle to check it with.
        certificate: path of a client certificate, or of certificate and key.
        timeout: seconds for a connection and for each read of an answer.
        ttl: seconds until `latest` is requested again. Pinned versions never change and are kept.
        negative_ttl: seconds until a missing subject or version is requested again.
        retry: how long a request is retried while the registry does not answer.
        draft: the draft of schemas whose `$schema` is missing or unknown: "4", "6", "7", "2019-09" or "2020-12". None
            for the newest where it is missing, and an error where it is unknown.
        formats: whether `format` is checked.
        content: whether `contentEncoding` and `contentMediaType` are checked, in the drafts that have them (from 7 on).
            None for as the draft says: in draft 7 alone.

    Raises:
        ValueError: the URL is not an HTTP URL, credentials are given twice, or `draft` is not known.

    Example::

        schemas = hp.SchemaRegistry(
            "https://registry.example.com", username="pipeline", password=hp.Secret.env("REGISTRY_PASSWORD")
        )
        checked = events | hp.ValidateSchema(schemas, subject="holded-events-value", version=3)
    """

    url: str
    username: str | None
    password: Secret | None
    token: Secret | None
    verify: bool | str
    certificate: tuple[str, str] | str | None
    timeout: float
    ttl: float
    negative_ttl: float
    retry: Retry
    draft: str | None
    formats: bool
    content: bool | None

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | Secret | None = None,
        token: str | Secret | None = None,
        verify: bool | str = True,
        certificate: tuple[str, str] | str | None = None,
        timeout: float = 10.0,
        ttl: float = 300.0,
        negative_ttl: float = 30.0,
        retry: Retry | None = None,
        draft: Any = None,
        formats: bool = True,
        content: bool | None = None,
    ) -> None:
        parts = parse_http_url(url, "the registry's url", example="http://localhost:8081")
        if parts.username and (username or password):
            raise ValueError("credentials are given both in the url and as arguments; give them once")
        if token is not None and (username or parts.username):
            raise ValueError("give a user and password, or a token, not both")
        host = parts.netloc.rpartition("@")[2]
        self.__attrs_init__(
            urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")),
            username or _unquote_or_none(parts.username),
            _secret_or_none(password or _unquote_or_none(parts.password)),
            _secret_or_none(token),
            verify,
            certificate,
            timeout,
            ttl,
            negative_ttl,
            retry or Retry(),
            None if draft is None else parse_draft(draft),
            formats,
            content,
        )

    @property
    def rules(self) -> SchemaRules:
        """How its schemas are read."""
        return SchemaRules(self.draft, self.formats, self.content)

    def prepare(self) -> SchemaRegistry:
        """Itself: the workers request the schemas."""
        return self

    def open(self) -> RegistryClient:
        """A client with a connection pool and a cache."""
        return RegistryClient(self)


def _secret_or_none(value: str | Secret | None) -> Secret | None:
    return None if value is None else Secret.of(value)


def _unquote_or_none(part: str | None) -> str | None:
    return None if part is None else unquote(part)
