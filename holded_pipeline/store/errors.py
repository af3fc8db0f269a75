"""What an answer of the store means: an outage, a wrong setting, an object that is gone, or that no store answered.

An S3 store says in an XML body what is wrong. A gateway, a maintenance page or a default backend has the same statuses
and none of its codes; and a page with the status 200 can be read as an empty listing. So only S3's own words count.
No call here is a HEAD, whose errors have no body to tell them by.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

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
from botocore.parsers import ResponseParserError

from holded_pipeline.model.errors import ConfigurationError, HoldedPipelineError
from holded_pipeline.servers.tls_errors import wrong_tls
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
_GONE_CODES = {"NoSuchKey", "PreconditionFailed", "InvalidRange", "NoSuchVersion"}
_IS_CODE = re.compile(r"[A-Za-z]")  # where a body holds none, botocore puts the status there
_TRANSIENT_STATUSES = {408, 429}
_SERVER_ERROR, _NOT_IMPLEMENTED = 500, 501
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


class NoStoreAnswerError(Exception):
    """Something answered that is no S3 store: it says nothing about what is stored, nor about a record."""


def _code(error: ClientError) -> str:
    """S3's code for what is wrong; empty if the answer holds none."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _IS_CODE.match(code) else ""


def _message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")).strip() or "nothing more"


def _status(answer: Mapping[str, Any]) -> int:
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def no_store_answer(operation: str, answer: Mapping[str, Any], lacks: str) -> NoStoreAnswerError:
    """The error for an answer that lacks what every S3 store sends."""
    kind = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type") or "no content type"
    return NoStoreAnswerError(
        f"HTTP {_status(answer)} ({kind}) to {operation} without {lacks}, which every S3 store sends; "
        "something that is none answers at this endpoint, or stands before it"
    )


def told_apart(error: Exception) -> Exception:
    """An error of the driver's; if it stands for an answer that no S3 store gives, the error that says so."""
    if isinstance(error, ClientError) and not _code(error):
        return no_store_answer(error.operation_name, error.response, "an error code")
    if isinstance(error, ResponseParserError):
        return NoStoreAnswerError(f"an answer that is not S3's XML, or breaks off: {error}")
    return error


def is_transient_store_error(error: Exception) -> bool:
    """Whether the store may well answer if asked again."""
    if isinstance(error, HoldedPipelineError) or (isinstance(error, SSLError) and wrong_tls(error, "endpoint")):
        return False
    if isinstance(error, ClientError):
        status = _status(error.response)
        passes = status in _TRANSIENT_STATUSES or (status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED)
        return passes or _code(error) in _TRANSIENT_CODES
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


def missing_key(error: Exception) -> bool:
    """Whether the store says that the very version of the object that was asked for is not there any more."""
    return isinstance(error, ClientError) and _code(error) in _GONE_CODES


def translate_store_error(error: Exception, lake: MinIO) -> Exception:
    """The error for a user; what is no fault of the store's or the settings' stays as it is."""
    if isinstance(error, ClientError):
        code = _code(error)
        advice = _ADVICE.get(code) or f"check endpoint, bucket and keys; it says: {_message(error)}"
        return ConfigurationError(f"{lake} refused {error.operation_name} on bucket {lake.bucket!r}: {code}; {advice}")
    if isinstance(error, SSLError) and (wrong := wrong_tls(error, "endpoint")):
        return ConfigurationError(f"{lake} {wrong}")
    if isinstance(error, BotoCoreError):
        return ConfigurationError(f"{lake} cannot be used as it is set up: {error}")
    return error
