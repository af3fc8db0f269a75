"""GET requests to a schema registry, and what its answers mean.

Confluent's API (https://docs.confluent.io/platform/current/schema-registry/develop/api.html) with what its
implementations really send: errors without `error_code`, a `message` that is a list, a bare JSON string.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret
from holded_pipeline.servers.tls_errors import explain_tls_error

ACCEPT = "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json"
UNKNOWN_SUBJECT, UNKNOWN_VERSION, UNKNOWN_SCHEMA = 40401, 40402, 40403
_INVALID_SUBJECT = 42208
_MISSING = {UNKNOWN_SUBJECT, UNKNOWN_VERSION, UNKNOWN_SCHEMA, _INVALID_SUBJECT}
_NOT_FOUND = 404
_PASSING = {408, 425, 429}
_SERVER_ERROR = 500


class RegistrySettings(Protocol):
    """What of `SchemaRegistry` a connection needs."""

    @property
    def url(self) -> str: ...  # noqa: D102  see SchemaRegistry
    @property
    def username(self) -> str | None: ...  # noqa: D102
    @property
    def password(self) -> Secret | None: ...  # noqa: D102
    @property
    def token(self) -> Secret | None: ...  # noqa: D102
    @property
    def verify(self) -> bool | str: ...  # noqa: D102
    @property
    def certificate(self) -> tuple[str, str] | str | None: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102
    @property
    def retry(self) -> Retry: ...  # noqa: D102


class MissingError(Exception):
    """The registry answers, and does not have it; `code` is one of Confluent's 404xx."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _UnavailableError(Exception):
    """An answer that may be another one next time."""


class RegistryConnection:
    """A pooled connection to a registry."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._session = requests.Session()
        self._session.trust_env = settings.token is None and settings.username is None  # no .netrc over our own
        self._session.headers["Accept"] = ACCEPT
        self._session.cert = settings.certificate
        if settings.token is not None:
            self._session.headers["Authorization"] = f"Bearer {settings.token.reveal()}"
        elif settings.username is not None:
            password = settings.password.reveal() if settings.password else ""
            # In UTF-8, as RFC 7617 has it; requests would take Latin-1, and fail on what is not in it.
            self._session.auth = HTTPBasicAuth(settings.username.encode(), password.encode())

    def close(self) -> None:
        """Gives the connections back."""
        self._session.close()

    def get(self, path: str, *, params: Mapping[str, str] | None = None, patient: bool = True) -> dict[str, Any]:
        """The JSON object at a path.

        Args:
            path: below the registry's URL, percent-encoded.
            params: the query.
            patient: whether an outage is waited out; else it is raised at once.

        Raises:
            MissingError: the registry does not have it.
            ConfigurationError: wrong URL, credentials or certificate, or an answer that makes no sense.
            TransientError: it did not answer within the deadline.
            Exception: an outage, if not `patient`; see `is_transient_registry_error`.
        """

        def attempt() -> dict[str, Any]:
            return self._answer(path, params)

        if not patient:
            return attempt()
        return self._settings.retry.call(attempt, server=self.name, is_transient=is_transient_registry_error)

    @property
    def name(self) -> str:
        """For messages."""
        return f"schema registry {self._settings.url}"

    def _answer(self, path: str, params: Mapping[str, str] | None) -> dict[str, Any]:
        url = f"{self._settings.url}/{path}"
        try:
            # With each request, since REQUESTS_CA_BUNDLE in the environment goes over what a session says.
            verify = self._settings.verify
            response = self._session.get(url, params=params, timeout=self._settings.timeout, verify=verify)
        except requests.exceptions.SSLError as error:
            wrong = explain_tls_error(error, "url")
            if wrong is None:
                raise _UnavailableError(f"TLS broke off: {error}") from error
            raise ConfigurationError(f"{self.name} {wrong}") from error
        except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects) as error:
            raise ConfigurationError(f"{self.name} cannot be asked: {error}; check its url") from error
        if response.ok:
            return self._object(response)
        raise self._error(response)

    def _object(self, response: requests.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError as error:
            if "json" in response.headers.get("Content-Type", ""):
                raise _UnavailableError(f"an answer that breaks off: {error}") from error
            raise self._no_registry("it answers with something other than JSON") from error
        if not isinstance(body, dict):
            raise self._no_registry(f"it answers with {type(body).__name__} where an object belongs")
        return body

    def _error(self, response: requests.Response) -> Exception:
        status = response.status_code
        code, message = _said(response)
        if code in _MISSING:
            return MissingError(code, message)
        if status in _PASSING or status >= _SERVER_ERROR:
            return _UnavailableError(f"HTTP {status}: {message}")
        if status in (401, 403):
            return ConfigurationError(f"{self.name} refuses these credentials (HTTP {status}): {message}")
        if status == _NOT_FOUND:
            return self._no_registry("it does not know this path (HTTP 404 without a registry's error code)")
        return ConfigurationError(f"{self.name} refuses the request (HTTP {status}, code {code}): {message}")

    def _no_registry(self, why: str) -> ConfigurationError:
        place = urlsplit(self._settings.url).path or "/"
        return ConfigurationError(
            f"{self.name} does not look like a schema registry: {why}; check the url, and its path {place!r}"
        )


def is_transient_registry_error(error: Exception) -> bool:
    """Whether the registry may well answer if asked again."""
    return isinstance(
        error,
        _UnavailableError
        | requests.exceptions.ConnectionError
        | requests.exceptions.Timeout
        | requests.exceptions.ChunkedEncodingError
        | requests.exceptions.ContentDecodingError,
    )


def _said(response: requests.Response) -> tuple[int | None, str]:
    try:
        body = response.json()
    except ValueError:
        return None, response.reason or "no explanation"
    if isinstance(body, dict):
        code = body.get("error_code")
        message = body.get("message", response.reason)
        return code if isinstance(code, int) else None, message if isinstance(message, str) else str(message)
    return None, str(body)
