"""Every answer that is no success: one form (RFC 9457), one code each, and never more than the client may know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "No valid API key",
    403: "Only from this machine",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    413: "Too large",
    415: "Unsupported body",
    422: "Nothing accepted",
    429: "Too many requests",
    500: "A fault of this server",
    503: "Not now",
    504: "Not found in time",
}

_AGAIN = "; send the same again in 5 s"
EXAMPLES = {
    "empty_body": (400, "the body is empty; send an event, an array of events, or lines of them"),
    "invalid_json": (400, "the body ends before its array does; send it again in full"),
    "several_values": (
        400,
        "the body holds several JSON values; send them as one array, or as lines with application/x-ndjson",
    ),
    "invalid_gzip": (400, "Content-Encoding says gzip and the body is none; send one of the two"),
    "invalid_parameter": (400, "hour: Input should be less than or equal to 23; see /docs"),
    "invalid_cursor": (400, "take cursor from next_cursor of the page before"),
    "no_valid_key": (401, "send a valid API key as X-API-Key, or as a bearer token in Authorization"),
    "no_keys_set_up": (
        403,
        "this server has no API keys and answers only its own machine, by the name localhost; start it with keys",
    ),
    "not_recent": (404, "the event is not among the recent ones; add date=2026-11-24, the UTC day it was received"),
    "no_such_event": (404, "no event of this id was received on 2026-11-24; try the day before or after"),
    "too_slow": (408, "the body was not there within 30 s; send smaller packages"),
    "body_too_large": (413, "the body has more than 16,777,216 bytes; send several packages, or gzip"),
    "inflated_too_large": (413, "the body inflates to more than 67,108,864 bytes; send less"),
    "too_many_events": (413, "a package has at most 10,000 events; send it in several packages"),
    "too_costly": (413, "the package takes more than 10 s to read and check; send it in several packages"),
    "unsupported_media_type": (
        415,
        "send the body as application/json or application/x-ndjson, and say so in Content-Type",
    ),
    "unsupported_charset": (415, "JSON is sent in UTF-8; leave the charset out"),
    "unsupported_encoding": (415, "Content-Encoding may be gzip; send the body so, or as it is"),
    "too_many_requests": (429, "more than 1000 requests in 1 s; wait 1 s, and send larger packages"),
    "internal_error": (500, "this server has a fault; tell its operators the id 4f1c2a9b5d3e7a60"),
    "busy": (503, f"the store is slower than what comes in{_AGAIN}"),
    "store_unavailable": (503, f"the store cannot be read, or has not confirmed the events{_AGAIN}"),
    "schemas_unavailable": (503, f"the events could not be checked in time{_AGAIN}"),
    "schemas_unusable": (503, f"the schemas of this server cannot be used{_AGAIN}"),
    "stopping": (503, f"this server is being stopped{_AGAIN}"),
    "not_ready": (503, f"the store cannot be reached{_AGAIN}"),
    "took_too_long": (504, "1,024 objects were looked through in 20 s and there are more; add hour=, 0 to 23"),
}
"""Every code of the API, with its status and a detail such as clients see."""


class Problem(Exception):  # noqa: N818  it is an answer rather than a failure
    """An answer that is no success.

    Args:
        status: the HTTP status.
        code: a stable code in snake_case.
        detail: what happened and what to do next.
        headers: more headers of the answer.
    """

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """Its JSON form."""
        title = _TITLES.get(self.status, "Refused")
        return {"title": title, "status": self.status, "code": self.code, "detail": self.detail}

    def response(self) -> Response:
        """The answer itself."""
        body = json.dumps(self.document()).encode()
        return Response(body, self.status, self.headers, media_type=MEDIA_TYPE)


def not_now(code: str, detail: str, seconds: int) -> Problem:
    """503, with the time after which to try again."""
    return Problem(503, code, f"{detail}; send the same again in {seconds} s", {"Retry-After": str(seconds)})


def install(app: FastAPI) -> None:
    """Has every error of the app answered in this form."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(RequestValidationError, _of_parameters)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  it is installed for this class
    return error.response()


async def _of_framework(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  as above
    codes = {404: "no_such_path", 405: "method_not_allowed"}
    details = {404: "there is nothing at this path; see /docs", 405: "this path has other methods; see /docs"}
    status = error.status_code
    detail = details.get(status, str(error.detail))
    return Problem(status, codes.get(status, "refused"), detail, error.headers).response()


async def _of_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  as above
    said = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
    return Problem(400, "invalid_parameter", f"{said}; see /docs").response()


def described(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI of the answers that have these codes, by status, with an example of each."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, detail = EXAMPLES[code]
        answer = found.setdefault(status, _described(status))
        answer["content"][MEDIA_TYPE]["examples"][code] = {"value": Problem(status, code, detail).document()}
    return found


def _described(status: int) -> dict[str, Any]:
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    found: dict[str, Any] = {"description": _TITLES[status], "content": {MEDIA_TYPE: content}}
    if status in (429, 503):
        found["headers"] = {
            "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 0}}
        }
    return found


SCHEMA = {
    "title": "Problem",
    "type": "object",
    "required": ["title", "status", "code", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "a stable code"},
        "detail": {"type": "string", "description": "what happened and what to do next"},
    },
}
"""The JSON Schema of a problem."""
