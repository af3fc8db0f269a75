"""What an error of the store means: an outage, a wrong setting, or an object that is gone."""

from __future__ import annotations

import asyncio

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from holded_pipeline.clients.minio import MinIO
from holded_pipeline.core.errors import ConfigurationError, HoldedPipelineError

_TRANSIENT_CODES = {
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "XMinioServerNotInitialized",
}
_GONE_CODES = {"NoSuchKey", "PreconditionFailed", "InvalidRange", "NoSuchVersion", "404", "412", "416"}
_TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
_ADVICE = {
    "NoSuchBucket": "create the bucket, or name another one",
    "AccessDenied": "grant the key s3:ListBucket, s3:GetObject and s3:PutObject on it",
    "InvalidAccessKeyId": "check access_key",
    "SignatureDoesNotMatch": "check secret_key",
    "RequestTimeTooSkewed": "set this machine's clock",
    "AuthorizationHeaderMalformed": "set region to the bucket's",
    "PermanentRedirect": "set endpoint and region to the bucket's",
    "XMinioInvalidObjectName": "MinIO takes no key with an empty level (//) or one of dots; choose another prefix",
}
_NO_TLS = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
)  # OpenSSL's words for an answer in plain text


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")).strip() or "nothing more"


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_transient(error: Exception) -> bool:
    """Whether the store may well answer if asked again."""
    if isinstance(error, HoldedPipelineError | SSLError):
        return False
    if isinstance(error, ClientError):
        return _code(error) in _TRANSIENT_CODES or _status(error) in _TRANSIENT_STATUSES
    return isinstance(
        error,
        HTTPClientError
        | BotoConnectionError
        | aiohttp.ClientError
        | asyncio.TimeoutError
        | ConnectionError
        | TimeoutError,
    )


def missing_key(error: Exception) -> bool:
    """Whether the very version of the object that was asked for is not there any more."""
    if not isinstance(error, ClientError):
        return False
    code = _code(error)
    return code in _GONE_CODES or (_status(error) in (404, 412, 416) and code != "NoSuchBucket")


def translate(error: Exception, lake: MinIO) -> Exception:
    """The error for a user; what is no fault of the store's or the settings' stays as it is."""
    if isinstance(error, ClientError):
        code = _code(error)
        advice = _ADVICE.get(code) or f"check endpoint, bucket and keys; it says: {_message(error)}"
        return ConfigurationError(
            f"{lake} refused {error.operation_name} on bucket {lake.bucket!r}: {code or _status(error)}; {advice}"
        )
    if isinstance(error, SSLError) and any(word in str(error).upper().replace(" ", "_") for word in _NO_TLS):
        return ConfigurationError(f"{lake} does not speak TLS; use http:// in endpoint, or the port that does")
    if isinstance(error, SSLError):
        return ConfigurationError(
            f"{lake} has a certificate that is not trusted; set verify= to the CA bundle it was signed with"
        )
    if isinstance(error, BotoCoreError):
        return ConfigurationError(f"{lake} cannot be used as it is set up: {error}")
    return error
