"""Error responses: all in one form (RFC 9457), each with a stable code, and nothing internal in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from holded_pipeline.api.watching.current_request import current_request, note_problem

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "No valid API key",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    413: "Content too large",
    415: "Unsupported media type",
    422: "No event accepted",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
    504: "Search timeout",
}

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_AGAIN = ", and send the same request again in 5 s"
_RETRY = "; send the same request again in 5 s"
EXAMPLES = {
    "empty_body": (400, "the body is empty; send an event, an array of events, or lines of them"),
    "invalid_json": (400, "the body ends before its array does; send it again in full"),
    "several_values": (
        400,
        "the body holds several JSON values; send them as one array, or as lines with application/x-ndjson",
    ),
    "invalid_gzip": (400, "the body is not gzip, though Content-Encoding says so; compress it or remove the header"),
    "invalid_parameter": (400, "hour: Input should be less than or equal to 23; see /docs"),
    "invalid_cursor": (400, "cursor is not valid; use next_cursor of the previous page"),
    "no_valid_key": (401, "send a valid API key as X-API-Key, or as a bearer token in Authorization"),
    "expired_key": (
        401,
        "the API key 'shop' expired at 2027-01-01 00:00:00+00:00; ask the operators of this server for a new one",
    ),
    "missing_scope": (
        403,
        "the API key 'shop' lacks the scope 'read'; add it to the key's scopes: in ApiKey, key file or [api.keys.shop]",
    ),
    "no_keys_set_up": (
        403,
        "this server has no API keys and answers only requests from its own machine to localhost; start it with keys",
    ),
    "not_recent": (
        404,
        "this server does not have the event in memory; add date=2026-11-24, the UTC day it was received",
    ),
    "no_such_event": (404, "no event with this id was received on 2026-11-24; try the day before or after"),
    "too_slow": (
        408,
        "the body did not arrive within 30 s, or came with less than 1,024 bytes a second; send smaller packages",
    ),
    "body_too_large": (
        413,
        "the body has more than 16,777,216 bytes; split it into several packages, or compress it with gzip",
    ),
    "inflated_too_large": (413, "the body inflates to more than 67,108,864 bytes; split it into several packages"),
    "too_many_events": (413, "the package has more than 10,000 events; split it into several"),
    "too_costly": (413, "the package takes more than 10 s to read and check; split it into several"),
    "unsupported_media_type": (
        415,
        "send application/json or application/x-ndjson, and name it in Content-Type",
    ),
    "unsupported_charset": (415, "JSON is always UTF-8; remove the charset from Content-Type"),
    "unsupported_encoding": (
        415,
        "the only Content-Encoding is gzip; compress the body with it, or send it uncompressed",
    ),
    "too_many_requests": (429, "more than 1000 requests in 1 s; wait 1 s, and send larger packages"),
    "over_share": (
        429,
        f"the requests in progress of this key or address fill its share of the memory; wait for their answers{_AGAIN}",
    ),
    "internal_error": (
        500,
        "this server failed; report the id 4f1c2a9b5d3e7a60 to its operators, whose log has the error",
    ),
    "metrics_removed": (
        500,
        "the workers' files of metrics were removed; restart the server, and let cleaners leave out holded-api-*",
    ),
    "not_started": (
        500,
        "the lifespan of this API does not run: run it in that of the application around it; see docs/how-to/api.md",
    ),
    "busy": (503, f"the store is slower than the incoming requests{_RETRY}"),
    "store_unavailable": (503, f"the store cannot be read, or has not confirmed the events{_RETRY}"),
    "schemas_unavailable": (503, f"the events could not be checked in time{_RETRY}"),
    "schemas_unusable": (503, f"the schemas of this server cannot be used{_RETRY}"),
    "stopping": (503, f"this server is being stopped{_RETRY}"),
    "not_ready": (503, f"the store cannot be reached{_RETRY}"),
    "took_too_long": (504, "1,024 objects were searched in 20 s and there are more; add hour=, 0 to 23"),
}
"""Every code of the API, with its status and an example of its detail."""


class Problem(Exception):  # noqa: N818  it is a response rather than a failure
    """An error response.

    Args:
        status: the HTTP status.
        code: a stable code in snake_case.
        detail: what happened and what to do next.
        headers: more headers of the response.
    """

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """Its JSON form."""
        title = _TITLES.get(self.status, "Rejected")
        document = {"title": title, "status": self.status, "code": self.code, "detail": self.detail}
        notes = current_request()
        return document if notes is None else document | {"request_id": notes.request_id}

    def response(self) -> Response:
        """The HTTP response."""
        note_problem(self.code)
        body = json.dumps(self.document()).encode()
        return Response(body, self.status, self.headers, media_type=MEDIA_TYPE)


def unavailable(code: str, detail: str, seconds: int) -> Problem:
    """503, with the seconds after which to try again."""
    return Problem(503, code, f"{detail}; send the same request again in {seconds} s", {"Retry-After": str(seconds)})


def install_handlers(app: FastAPI) -> None:
    """Makes the app answer every error in this form."""
    app.add_exception_handler(Problem, _handle_problem)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RequestValidationError, _handle_invalid_parameter)


async def _handle_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  it is installed for this class
    return error.response()


async def _handle_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  as above
    codes = {404: "no_such_path", 405: "method_not_allowed"}
    details = {404: "the API has no such path; see /docs", 405: "the path does not support this method; see /docs"}
    status = error.status_code
    detail = details.get(status, str(error.detail))
    code = codes.get(status, "rejected")
    headers = error.headers if code != "method_not_allowed" else {"Allow": ", ".join(_methods_of_path(request))}
    return Problem(status, code, detail, headers).response()


def _methods_of_path(request: Request) -> list[str]:
    """All methods of the requested path: starlette names those of the first route alone, and HEAD has its own."""

    def is_answered(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in _METHODS if is_answered(method)]


async def _handle_invalid_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  as above
    detail = "; ".join(f"{fault['loc'][-1]}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors())
    return Problem(400, "invalid_parameter", f"{detail}; see /docs").response()


def problem_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses for these codes, by status, with an example of each."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, detail = EXAMPLES[code]
        response = responses.setdefault(status, _problem_response(status))
        response["content"][MEDIA_TYPE]["examples"][code] = {"value": Problem(status, code, detail).document()}
    return responses


def _problem_response(status: int) -> dict[str, Any]:
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    response: dict[str, Any] = {"description": _TITLES[status], "content": {MEDIA_TYPE: content}}
    if status in (429, 503):
        response["headers"] = {
            "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 0}}
        }
    return response


SCHEMA = {
    "title": "Problem",
    "type": "object",
    "required": ["title", "status", "code", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "a stable code"},
        "detail": {"type": "string", "description": "what happened and what to do next"},
        "request_id": {"type": "string", "description": "the response's X-Request-ID; it stands in the server's log"},
    },
}
"""The JSON Schema of a problem."""
