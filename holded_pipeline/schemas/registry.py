"""Schemas in a registry that speaks Confluent's REST API."""

from __future__ import annotations

import json
import logging
import time
from typing import Any
from urllib.parse import quote, unquote, urlunsplit

import attrs

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import SchemaRef
from holded_pipeline.schemas.compiled import ResolvedSchema
from holded_pipeline.schemas.registered import RegisteredSchema, documents_of
from holded_pipeline.schemas.registry_http import (
    UNKNOWN_VERSION,
    MissingError,
    RegistryConnection,
    is_transient_registry_error,
)
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret
from holded_pipeline.servers.server_url import parse_http_url

_DEEPEST = 32  # levels of references; a registry cannot hold a circle, but an answer could claim one
_LONGEST_SUBJECT = 1_000
_SHOWN = 100
_MOST_CACHED = 10_000
_logger = logging.getLogger("holded_pipeline")


def _secret(value: str | Secret | None) -> Secret | None:
    return None if value is None else Secret.of(value)


def _unquoted(part: str | None) -> str | None:
    return None if part is None else unquote(part)


@attrs.frozen(init=False)
class SchemaRegistry:
    """A schema registry with Confluent's REST API (Confluent, Karapace, Apicurio in that mode, and others).

    Constructing it does no I/O.

    Args:
        url: where it is, with a path if it has one.
        username: for basic authentication; user and password may stand in the URL too, and are moved out of it.
        password: its password, a `Secret` or a plain string that becomes one.
        token: for bearer authentication instead.
        verify: whether its certificate is checked; a path names the CA bundle to check it with.
        certificate: path of a client certificate, or of certificate and key.
        timeout: seconds for a connection and for each answer.
        ttl: seconds until `latest` is asked for again. Pinned versions never change and are kept.
        negative_ttl: seconds until a missing subject or version is asked for again.
        retry: how long an outage is waited out.
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
    ) -> None:
        parts = parse_http_url(url, "the registry's url", example="http://localhost:8081")
        if parts.username and (username or password):
            raise ValueError("the credentials stand both in the url and beside it; give them once")
        if token is not None and (username or parts.username):
            raise ValueError("give a user and password, or a token, not both")
        host = parts.netloc.rpartition("@")[2]
        self.__attrs_init__(
            urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")),
            username or _unquoted(parts.username),
            _secret(password or _unquoted(parts.password)),
            _secret(token),
            verify,
            certificate,
            timeout,
            ttl,
            negative_ttl,
            retry or Retry(),
        )

    def prepare(self) -> SchemaRegistry:
        """Itself: the workers ask the registry."""
        return self

    def open(self) -> RegistryClient:
        """A connection, with its cache."""
        return RegistryClient(self)


@attrs.frozen
class _Cached:
    answer: ResolvedSchema | RejectRecord
    until: float


class RegistryClient:
    """An open registry. One per worker; not for sharing between threads."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._connection = RegistryConnection(registry)
        self._cache: dict[tuple[str, int | None], _Cached] = {}

    def close(self) -> None:
        """Gives the connections back."""
        self._connection.close()

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        """The schema of a subject, from the cache where it is fresh; `version` None means the latest.

        Should the registry not answer when `latest` is due to be asked for again, the one at hand serves on.

        Raises:
            RejectRecord: the registry answers that there is no such subject or version.
            ConfigurationError: see `RegistryConnection.get`; also for a schema that is not JSON Schema.
            TransientError: the registry did not answer, and nothing is at hand.
        """
        if not _can_be_asked_for(subject):
            raise RejectRecord("unknown_subject", f"no registry has a subject such as {subject[:_SHOWN]!r}")
        key = subject, version
        if len(self._cache) > _MOST_CACHED:
            self._cache.clear()  # subjects that are made of events can be any number
        cached = self._cache.get(key)
        if cached is None or cached.until <= time.monotonic():
            cached = self._cache[key] = self._renewed(subject, version, cached)
        if isinstance(cached.answer, RejectRecord):
            raise RejectRecord(*cached.answer.args)  # a new one: an exception raised twice keeps both tracebacks
        return cached.answer

    def _renewed(self, subject: str, version: int | None, stale: _Cached | None) -> _Cached:
        now = time.monotonic()
        at_hand = stale is not None and isinstance(stale.answer, ResolvedSchema)
        try:
            schema = self._fetch(subject, version, patient=not at_hand)
        except MissingError as missing:
            return _Cached(_rejection(subject, version, missing), now + self._registry.negative_ttl)
        except Exception as error:
            if stale is None or not at_hand or not is_transient_registry_error(error):
                raise
            _logger.warning("%s does not answer; the schema of %r serves on", self._connection.name, subject)
            return attrs.evolve(stale, until=now + self._registry.negative_ttl)
        return _Cached(schema, float("inf") if version is not None else now + self._registry.ttl)

    def _fetch(self, subject: str, version: int | None, *, patient: bool) -> ResolvedSchema:
        wanted = "latest" if version is None else str(version)
        answer = self._connection.get(_path(subject, wanted), patient=patient)
        documents = documents_of(self._registered(subject, wanted, answer, patient=patient))
        ref = SchemaRef(subject, _number(answer, "version"), _number(answer, "id"))
        return ResolvedSchema(ref, next(iter(documents)), documents)

    def _registered(
        self, subject: str, version: str, answer: dict[str, Any], *, patient: bool, depth: int = 0
    ) -> RegisteredSchema:
        """The schema of an answer, with those it refers to."""
        if depth > _DEEPEST:
            raise ConfigurationError(f"{self._connection.name} has references more than {_DEEPEST} levels deep")
        references: dict[str, RegisteredSchema] = {}
        for reference in answer.get("references") or ():
            name, other, its_version = reference["name"], reference["subject"], str(reference["version"])
            try:
                referred = self._connection.get(_path(other, its_version), params={"deleted": "true"}, patient=patient)
            except MissingError as error:
                raise ConfigurationError(
                    f"{self._connection.name} has no version {its_version} of {other!r}, which a schema refers to"
                ) from error
            references[name] = self._registered(other, its_version, referred, patient=patient, depth=depth + 1)
        return RegisteredSchema(subject, version, self._document(subject, answer), references)

    def _document(self, subject: str, answer: dict[str, Any]) -> Any:
        kind = answer.get("schemaType") or "AVRO"  # Confluent leaves it out for its oldest format
        if kind != "JSON":
            raise ConfigurationError(
                f"the subject {subject!r} of {self._connection.name} holds {kind}, not JSON Schema; "
                "name a subject that was registered with schemaType JSON"
            )
        try:
            return json.loads(answer["schema"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"the subject {subject!r} of {self._connection.name} holds no readable schema: {error}"
            ) from error


def _path(subject: str, version: str) -> str:
    return f"subjects/{quote(subject, safe='')}/versions/{version}"


def _can_be_asked_for(subject: str) -> bool:
    """Whether it can stand in a URL: dots alone are a way up, and servers limit the length."""
    return subject.strip(".") != "" and len(subject) <= _LONGEST_SUBJECT


def _number(answer: dict[str, Any], name: str) -> int | None:
    value = answer.get(name)
    return value if isinstance(value, int) else None


def _rejection(subject: str, version: int | None, missing: MissingError) -> RejectRecord:
    if missing.code == UNKNOWN_VERSION:
        return RejectRecord("unknown_version", f"the registry has no version {version} of {subject!r}: {missing}")
    return RejectRecord("unknown_subject", f"the registry has no subject {subject!r}: {missing}")
