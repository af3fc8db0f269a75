"""GET requests to a schema registry, and which error each of its answers is.

The API is Confluent's (https://docs.confluent.io/platform/current/schema-registry/develop/api.html). Its
implementations also send errors without `error_code`, a `message` that is a list, and bare JSON strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.schemas.schema_rules import SchemaRules
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret
from holded_pipeline.servers.tls_errors import explain_tls_error

ACCEPT = "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json"
UNKNOWN_SUBJECT, UNKNOWN_VERSION, UNKNOWN_SCHEMA = 40401, 40402, 40403
_INVALID_SUBJECT = 42208
_MISSING_CODES = {UNKNOWN_SUBJECT, UNKNOWN_VERSION, UNKNOWN_SCHEMA, _INVALID_SUBJECT}
_NOT_FOUND = 404
_TRANSIENT_STATUSES = {408, 425, 429}
_SERVER_ERROR = 500


class RegistrySettings(Protocol):
    """The settings of `SchemaRegistry` that a client needs."""

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
    def ttl(self) -> float: ...  # noqa: D102
    @property
    def negative_ttl(self) -> float: ...  # noqa: D102
    @property
    def retry(self) -> Retry: ...  # noqa: D102
    @property
    def rules(self) -> SchemaRules: ...  # noqa: D102


class MissingError(Exception):
    """The registry answers that it does not have the subject or version.

    Args:
        code: Confluent's error code, such as 40401.
        message: the registry's message.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _UnavailableError(Exception):
    """The registry answered with an error that may be gone at the next attempt."""


class RegistryConnection:
    """A pooled connection to a registry."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._session = requests.Session()
        # With credentials, nothing from the environment: those in .netrc would replace them.
        self._session.trust_env = settings.token is None and settings.username is None
        self._session.headers["Accept"] = ACCEPT
        self._session.cert = settings.certificate
        if settings.token is not None:
            self._session.headers["Authorization"] = f"Bearer {settings.token.reveal()}"
        elif settings.username is not None:
            password = settings.password.reveal() if settings.password else ""
            # In UTF-8, as RFC 7617 says; requests would use Latin-1 and fail for other letters.
            self._session.auth = HTTPBasicAuth(settings.username.encode(), password.encode())

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def get(self, path: str, *, params: Mapping[str, str] | None = None, retry: bool = True) -> dict[str, Any]:
        """The JSON object at a path.

        Args:
            path: below the registry's URL, percent-encoded.
            params: the query.
            retry: whether an outage is retried until the deadline; else its error is raised at once.

        Raises:
            MissingError: the registry does not have it.
            ConfigurationError: the URL, the credentials or the certificate is wrong, or the answer is not a registry's.
            TransientError: it did not answer within the deadline.
            Exception: an outage, if not `retry`; see `is_transient_registry_error`.
        """

        def attempt() -> dict[str, Any]:
            return self._request(path, params)

        if not retry:
            return attempt()
        return self._settings.retry.call(attempt, server=self.name, is_transient=is_transient_registry_error)

    @property
    def name(self) -> str:
        """The registry as messages name it."""
        return f"schema registry {self._settings.url}"

    def _request(self, path: str, params: Mapping[str, str] | None) -> dict[str, Any]:
        url = f"{self._settings.url}/{path}"
        try:
            # With each request, since REQUESTS_CA_BUNDLE in the environment overrides the session's setting.
            verify = self._settings.verify
            response = self._session.get(url, params=params, timeout=self._settings.timeout, verify=verify)
        except requests.exceptions.SSLError as error:
            wrong = explain_tls_error(error, "url")
            if wrong is None:
                raise _UnavailableError(f"the TLS handshake failed: {error}") from error
            raise ConfigurationError(f"{self.name} {wrong}") from error
        except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects) as error:
            raise ConfigurationError(f"{self.name} cannot be requested: {error}; check its url") from error
        if response.ok:
            return self._json_object(response)
        raise self._error_for(response)

    def _json_object(self, response: requests.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError as error:
            if "json" in response.headers.get("Content-Type", ""):
                raise _UnavailableError(f"the answer is incomplete: {error}") from error
            raise self._not_a_registry("its answer is not JSON") from error
        if not isinstance(body, dict):
            raise self._not_a_registry(f"its answer is a JSON {type(body).__name__}, not an object")
        return body

    def _error_for(self, response: requests.Response) -> Exception:
        status = response.status_code
        code, message = _error_code_and_message(response)
        if code in _MISSING_CODES:
            return MissingError(code, message)
        if status in _TRANSIENT_STATUSES or status >= _SERVER_ERROR:
            return _UnavailableError(f"HTTP {status}: {message}")
        if status in (401, 403):
            return ConfigurationError(f"{self.name} rejected these credentials (HTTP {status}): {message}")
        if status == _NOT_FOUND:
            return self._not_a_registry("it does not know this path (HTTP 404 without a registry's error code)")
        return ConfigurationError(f"{self.name} rejected the request (HTTP {status}, code {code}): {message}")

    def _not_a_registry(self, why: str) -> ConfigurationError:
        path = urlsplit(self._settings.url).path or "/"
        return ConfigurationError(
            f"{self.name} does not look like a schema registry: {why}; check the url, and its path {path!r}"
        )


def is_transient_registry_error(error: Exception) -> bool:
    """Whether the error is an outage: the same request may succeed later."""
    return isinstance(
        error,
        _UnavailableError
        | requests.exceptions.ConnectionError
        | requests.exceptions.Timeout
        | requests.exceptions.ChunkedEncodingError
        | requests.exceptions.ContentDecodingError,
    )


def _error_code_and_message(response: requests.Response) -> tuple[int | None, str]:
    """The error code and the message in an answer.

    {"error_code": 40401, "message": "Subject 'a' not found."}   ->  (40401, "Subject 'a' not found.")
    {"message": [{"msg": "Field required"}]}                     ->  (None, "[{'msg': 'Field required'}]")
    "Bad Gateway"                                                ->  (None, "Bad Gateway")
    <html>…</html>, HTTP 503 Service Unavailable                 ->  (None, "Service Unavailable")
    """
    try:
        body = response.json()
    except ValueError:
        return None, response.reason or "no explanation"
    if isinstance(body, dict):
        code = body.get("error_code")
        message = body.get("message", response.reason)
        return code if isinstance(code, int) else None, message if isinstance(message, str) else str(message)
    return None, str(body)
