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


def described(*statuses: int, **examples: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI of these answers; `examples` are details by code, each under `_<status>_<code>`."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        shown = {
            code: {"value": Problem(status, code, detail).document()}
            for name, detail in examples.items()
            for number, _, code in [name.lstrip("_").partition("_")]
            if int(number) == status
        }
        found[status] = {
            "description": _TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": shown}},
        }
        if status in (429, 503):
            found[status]["headers"] = {
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
