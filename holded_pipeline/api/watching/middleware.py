"""ASGI middleware: counts and times each request, and logs unexpected errors under an id that the response names."""

from __future__ import annotations

import logging
import secrets
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holded_pipeline.api.problems import Problem
from holded_pipeline.api.watching.metrics import Metrics

_CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that did not wait for its response
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_logger = logging.getLogger("holded_pipeline.api")


class MonitoringMiddleware:
    """Counts and times every request of the app."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; passes anything else on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        except ClientDisconnect:
            status = _CLIENT_CLOSED_REQUEST
        except Exception:
            error_id = secrets.token_hex(8)
            _logger.exception("error %s in %s", error_id, _route_template(scope))
            if status:  # the response has begun: it can only be broken off
                raise
            status = 500
            detail = f"this server failed; report the id {error_id} to its operators, whose log has the error"
            await Problem(status, "internal_error", detail).response()(scope, receive, send)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            seconds = time.monotonic() - started
            self._metrics.count_response(method, _route_template(scope), status or _CLIENT_CLOSED_REQUEST, seconds)


def _route_template(scope: Scope) -> str:
    """The path of the route, such as `/events/{event_id}`: a label must not have what a client writes into a path."""
    return str(getattr(scope.get("route"), "path", None) or "none")
