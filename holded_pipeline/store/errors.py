"""What an error of the store means: an outage, a wrong setting, a missing object, or an answer of another server.

An S3 store names the error with a code in an XML body. A gateway, a maintenance page or a default backend answers with
the same HTTP statuses and without a code, and a page with the status 200 parses as an empty listing. So only S3's codes
count. HEAD requests are not used, since the answer to one has no body.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError

from holded_pipeline.model.errors import ConfigurationError, HoldedPipelineError, ObjectUnreadableError, TransientError
from holded_pipeline.model.near_names import listed
from holded_pipeline.servers.retry import is_caused_by
from holded_pipeline.servers.tls_errors import explain_tls_error
from holded_pipeline.store.minio import MinIO

_TRANSIENT_CODES = {
    "BadDigest",
    "IncompleteBody",
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
_MISSING_KEY_CODES = {"NoSuchKey", "PreconditionFailed", "InvalidRange", "NoSuchVersion"}
_IS_CODE = re.compile(r"[A-Za-z]")  # botocore uses the status where the body has no code
_TRANSIENT_STATUSES = {408, 429}
_BAD_REQUEST, _SERVER_ERROR, _NOT_IMPLEMENTED = 400, 500, 501
_ABOUT_EVERY_OBJECT = {
    "AccountProblem",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "IllegalLocationConstraintException",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "InvalidSecurity",
    "InvalidToken",
    "MethodNotAllowed",
    "MissingSecurityHeader",
    "NoSuchBucket",
    "NotSignedUp",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
"""Codes of a refused read that say nothing about the object: its neighbours cannot be read either."""
_READ_ADVICE = {
    "InvalidObjectState": "restore it from its archive",
    "AccessDenied": "grant the key s3:GetObject on it, and kms:Decrypt where it is encrypted",
    "InvalidRequest": "copy it to one without the customer's key (SSE-C), if it is encrypted so",
}
_OTHER_SERVER = "the endpoint is not an S3 server, or a proxy answered"
_ADVICE = {
    "NoSuchBucket": "create the bucket, or name another one",
    "AccessDenied": "grant the key s3:ListBucket, s3:GetObject and s3:PutObject on it",
    "InvalidAccessKeyId": "check access_key",
    "SignatureDoesNotMatch": "check secret_key",
    "RequestTimeTooSkewed": "set this machine's clock",
    "AuthorizationHeaderMalformed": "set region to the bucket's",
    "PermanentRedirect": "set endpoint and region to the bucket's",
    "XMinioInvalidObjectName": "MinIO rejects keys with an empty level (//) or a level of dots; choose another prefix",
}


class NoStoreAnswerError(Exception):
    """Another server than an S3 store answered, so nothing is known about what is stored."""


def _code(error: ClientError) -> str:
    """S3's code of the error; empty if the answer has none."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _IS_CODE.match(code) else ""


def _message_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")).strip() or "no message"


def _status(answer: Mapping[str, Any]) -> int:
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def not_a_store_error(operation: str, answer: Mapping[str, Any], lacks: str) -> NoStoreAnswerError:
    """The error for an answer that lacks what every S3 store sends."""
    kind = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type") or "no content type"
    return NoStoreAnswerError(
        f"HTTP {_status(answer)} ({kind}) to {operation} without {lacks}, which every S3 store sends; {_OTHER_SERVER}"
    )


def recognize_other_server(error: Exception) -> Exception:
    """A `NoStoreAnswerError` for a driver's error about an answer that no S3 store sends; any other error unchanged."""
    if isinstance(error, ClientError) and not _code(error):
        return not_a_store_error(error.operation_name, error.response, "an error code")
    if isinstance(error, ResponseParserError):
        return NoStoreAnswerError(f"an answer that is not S3's XML, or ends early: {error}; {_OTHER_SERVER}")
    return error


def is_transient_store_error(error: Exception) -> bool:
    """Whether the same call may succeed when it is retried."""
    if isinstance(error, HoldedPipelineError) or (isinstance(error, SSLError) and explain_tls_error(error, "endpoint")):
        return False
    if isinstance(error, ClientError):
        status = _status(error.response)
        is_passing = status in _TRANSIENT_STATUSES or (status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED)
        return is_passing or _code(error).removeprefix("KMS.") in _TRANSIENT_CODES
    return isinstance(
        error,
        NoStoreAnswerError
        | HTTPClientError
        | BotoConnectionError
        | aiohttp.ClientError
        | asyncio.TimeoutError
        | ConnectionError
        | TimeoutError,
    )


def is_missing_key(error: Exception) -> bool:
    """Whether the requested version of the object does not exist any more."""
    return isinstance(error, ClientError) and _code(error) in _MISSING_KEY_CODES


def is_missing_bucket(error: Exception) -> bool:
    """Whether there is no bucket of this name."""
    return isinstance(error, ClientError) and _code(error) == "NoSuchBucket"


def is_unreadable(error: Exception) -> bool:
    """Whether the store refuses to give out this object, whatever it does with others."""
    if not isinstance(error, ClientError) or is_missing_key(error) or is_transient_store_error(error):
        return False
    code = _code(error)
    is_refused = _BAD_REQUEST <= _status(error.response) < _SERVER_ERROR
    return bool(code) and is_refused and error.operation_name == "GetObject" and code not in _ABOUT_EVERY_OBJECT


def unreadable_error(error: Exception, lake: MinIO, key: str) -> ObjectUnreadableError:
    """The error that the user gets for an object that `is_unreadable`."""
    assert isinstance(error, ClientError)  # noqa: S101  for the type checker; `is_unreadable` says so
    code = _code(error)
    return ObjectUnreadableError(
        f"{lake.bucket}/{key} cannot be read; the store said: {code}: {_message_of(error)}; "
        f"{_READ_ADVICE.get(code, 'make it readable')}, "
        'or pass on_unreadable="reject" to ReadMinIO to continue without it'
    )


def with_tls_advice(error: TransientError, lake: MinIO) -> TransientError:
    """The error of an outage; where the server may expect TLS and got none, it says so."""
    cause = error.__cause__
    is_closed = cause is not None and is_caused_by(cause, ConnectionResetError)
    is_likely = is_closed or isinstance(cause, ConnectionClosedError | NoStoreAnswerError)
    if not is_likely or not lake.endpoint.lower().startswith("http:"):
        return error
    return TransientError(f"{error}. If the server speaks TLS, write https:// in endpoint")


def translate_store_error(error: Exception, lake: MinIO, buckets: Sequence[str] = ()) -> Exception:
    """The error that the user gets; an error of neither the store nor the settings is returned unchanged.

    Args:
        error: what the driver raised.
        lake: the store.
        buckets: those that it has instead of a missing one, as far as they are known.
    """
    if isinstance(error, ClientError):
        code = _code(error)
        advice = _ADVICE.get(code) or f"check endpoint, bucket and keys; the store said: {_message_of(error)}"
        if code == "NoSuchBucket" and buckets:
            advice = f"create the bucket, or name one that there is: {listed(buckets)}"
        return ConfigurationError(f"{lake} rejected {error.operation_name} on bucket {lake.bucket!r}: {code}; {advice}")
    if isinstance(error, SSLError) and (wrong := explain_tls_error(error, "endpoint")):
        return ConfigurationError(f"{lake} {wrong}")
    if isinstance(error, BotoCoreError):
        return ConfigurationError(f"{lake} cannot be used as it is set up: {error}")
    return error
