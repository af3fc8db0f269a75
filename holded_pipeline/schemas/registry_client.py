"""A client of a schema registry: finds schemas and what they refer to, and caches them."""

from __future__ import annotations

import json
import logging
import time
from typing import Any
from urllib.parse import quote

import attrs

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import SchemaRef
from holded_pipeline.schemas.registered_schema import RegisteredSchema, documents_by_uri
from holded_pipeline.schemas.registry_http import (
    UNKNOWN_VERSION,
    MissingError,
    RegistryConnection,
    RegistrySettings,
    is_transient_registry_error,
)
from holded_pipeline.schemas.schema_errors import naming_schema
from holded_pipeline.schemas.schema_source import ResolvedSchema

_MAX_REFERENCE_DEPTH = 32  # a registry cannot store circular references, but an answer could contain them
_MAX_SUBJECT_LENGTH = 1_000
_MAX_CACHED = 10_000
_SHOWN_CHARACTERS = 100
_logger = logging.getLogger("holded_pipeline")


@attrs.frozen
class _Cached:
    answer: ResolvedSchema | RejectRecord
    until: float


class RegistryClient:
    """An open registry. One per worker; not for sharing between threads."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._connection = RegistryConnection(settings)
        self._cache: dict[tuple[str, int | None], _Cached] = {}

    def close(self) -> None:
        """Closes the connections."""
        self._connection.close()

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        """The schema of a subject, from the cache until it expires; `version` None means the latest.

        If the registry does not answer when `latest` has expired, the cached version is used further.

        Raises:
            RejectRecord: the registry answers that there is no such subject or version.
            ConfigurationError: see `RegistryConnection.get`; also for a schema that is not JSON Schema.
            TransientError: the registry did not answer, and no version is cached.
        """
        if not _is_possible_subject(subject):
            raise RejectRecord(
                "unknown_subject",
                f"no registry can have the subject {subject[:_SHOWN_CHARACTERS]!r}: it consists of dots, or has more "
                f"than {_MAX_SUBJECT_LENGTH} characters",
            )
        key = subject, version
        if len(self._cache) > _MAX_CACHED:
            self._cache.clear()  # there is no limit to the subjects that events can name
        cached = self._cache.get(key)
        if cached is None or cached.until <= time.monotonic():
            cached = self._cache[key] = self._refresh(subject, version, cached)
        if isinstance(cached.answer, RejectRecord):
            raise RejectRecord(*cached.answer.args)  # a new one: an exception raised twice keeps both tracebacks
        return cached.answer

    def _refresh(self, subject: str, version: int | None, expired: _Cached | None) -> _Cached:
        """The registry's answer with its time of expiry; in an outage, the expired schema with a new one."""
        now = time.monotonic()
        has_schema = expired is not None and isinstance(expired.answer, ResolvedSchema)
        try:
            schema = self._fetch(subject, version, retry=not has_schema)
        except MissingError as missing:
            return _Cached(_rejection_for(subject, version, missing), now + self._settings.negative_ttl)
        except Exception as error:
            if expired is None or not has_schema or not is_transient_registry_error(error):
                raise
            _logger.warning("%s does not answer; the cached schema of %r is used", self._connection.name, subject)
            return attrs.evolve(expired, until=now + self._settings.negative_ttl)
        return _Cached(schema, float("inf") if version is not None else now + self._settings.ttl)

    def _fetch(self, subject: str, version: int | None, *, retry: bool) -> ResolvedSchema:
        requested = "latest" if version is None else str(version)
        answer = self._connection.get(_version_path(subject, requested), retry=retry)
        registered = self._fetch_references(subject, requested, answer, retry=retry)
        ref = SchemaRef(subject, _integer_in(answer, "version"), _integer_in(answer, "id"))
        with naming_schema(ref):
            documents = documents_by_uri(registered)
        return ResolvedSchema(ref, next(iter(documents)), documents, self._settings.rules)

    def _fetch_references(
        self, subject: str, version: str, answer: dict[str, Any], *, retry: bool, depth: int = 0
    ) -> RegisteredSchema:
        r"""The schema of an answer, with every schema it refers to, directly or through others.

        An answer with a reference, whose `name` is what a `$ref` in the schema contains:

            {"version": 3, "id": 12, "schemaType": "JSON", "schema": "{\"$ref\": \"money.json\"}",
             "references": [{"name": "money.json", "subject": "money", "version": 2}]}
        """
        if depth > _MAX_REFERENCE_DEPTH:
            raise ConfigurationError(
                f"{self._connection.name} has references more than {_MAX_REFERENCE_DEPTH} levels deep, from {subject!r}"
            )
        references: dict[str, RegisteredSchema] = {}
        for name, other, its_version in self._names_of_references(subject, answer):
            path = _version_path(other, its_version)
            try:
                referred = self._connection.get(path, params={"deleted": "true"}, retry=retry)
            except MissingError as error:
                raise ConfigurationError(
                    f"{self._connection.name} has no version {its_version} of {other!r}, to which the schema of "
                    f"{subject!r} refers; register it again"
                ) from error
            references[name] = self._fetch_references(other, its_version, referred, retry=retry, depth=depth + 1)
        return RegisteredSchema(subject, version, self._parse_schema(subject, answer), references)

    def _names_of_references(self, subject: str, answer: dict[str, Any]) -> list[tuple[str, str, str]]:
        """The name, the subject and the version of each schema that an answer's schema refers to."""
        try:
            return [
                (_text_in(each, "name"), _text_in(each, "subject"), str(each["version"]))
                for each in answer.get("references") or ()
            ]
        except (KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{self._connection.name} answers with references of {subject!r} that have no name, subject and "
                "version; register the schema again"
            ) from error

    def _parse_schema(self, subject: str, answer: dict[str, Any]) -> Any:
        schema_type = answer.get("schemaType") or "AVRO"  # Confluent omits it for its oldest format
        if schema_type != "JSON":
            raise ConfigurationError(
                f"the subject {subject!r} of {self._connection.name} holds {schema_type}, not JSON Schema; "
                "name a subject that was registered with schemaType JSON"
            )
        try:
            return json.loads(answer["schema"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"the schema of the subject {subject!r} of {self._connection.name} is not JSON: {error}; register a "
                "new version"
            ) from error


def _text_in(reference: Any, name: str) -> str:
    value = reference[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, which is not text")
    return value


def _version_path(subject: str, version: str) -> str:
    return f"subjects/{quote(subject, safe='')}/versions/{version}"


def _is_possible_subject(subject: str) -> bool:
    """Whether it can be part of a URL. Dots alone mean a parent folder there, and servers limit the length."""
    return subject.strip(".") != "" and len(subject) <= _MAX_SUBJECT_LENGTH


def _integer_in(answer: dict[str, Any], name: str) -> int | None:
    value = answer.get(name)
    return value if isinstance(value, int) else None


def _rejection_for(subject: str, version: int | None, missing: MissingError) -> RejectRecord:
    if missing.code == UNKNOWN_VERSION:
        return RejectRecord("unknown_version", f"the registry has no version {version} of {subject!r}: {missing}")
    return RejectRecord("unknown_subject", f"the registry has no subject {subject!r}: {missing}")
