"""ASGI middleware: gives each request an id, counts and times it, and by option logs and traces it."""

from __future__ import annotations

import contextlib
import time

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holded_pipeline.api.watching.current_request import CURRENT, REQUEST_ID_HEADER, RequestNotes, request_id_of
from holded_pipeline.api.watching.error_responses import route_template
from holded_pipeline.api.watching.metrics import Metrics
from holded_pipeline.api.watching.request_log import log_request
from holded_pipeline.api.watching.request_spans import RequestSpans

_CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that did not wait for its response
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class MonitoringMiddleware:
    """Gives every request an id, counts and times it.

    Args:
        app: the app.
        metrics: counts requests.
        log_requests: whether each request is logged.
        spans: makes a span of each request; None for none.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, *, log_requests: bool = False, spans: RequestSpans | None = None
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._log_requests = log_requests
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; passes anything else on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes = RequestNotes(request_id_of(scope["headers"]))
        token = CURRENT.set(notes)
        try:
            if self._spans is None:
                await self._handle(scope, receive, send, notes)
            else:
                with self._spans.of_request(scope, notes) as end_span:
                    status = await self._handle(scope, receive, send, notes)
                    end_span(route_template(scope), status)
        finally:
            CURRENT.reset(token)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, notes: RequestNotes) -> int:
        """Handles a request; returns the status of its response."""
        started = time.monotonic()
        status = 0
        header = (REQUEST_ID_HEADER, notes.request_id.encode())

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            else:
                notes.bytes_out += len(message.get("body", b""))
            await send(message)

        async def counting_receive() -> Message:
            message = await receive()
            notes.bytes_in += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, counting_receive if self._log_requests else receive, send_with_id)
        except ClientDisconnect:
            if not status:  # nobody reads it, but middleware of an application that mounts this one waits for it
                with contextlib.suppress(OSError):
                    await Response(status_code=_CLIENT_CLOSED_REQUEST)(scope, receive, send_with_id)
            status = _CLIENT_CLOSED_REQUEST
        finally:
            status = status or _CLIENT_CLOSED_REQUEST
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route, seconds = route_template(scope), time.monotonic() - started
            self._metrics.count_response(method, route, status, seconds)
            if self._log_requests:
                client = scope.get("client")
                log_request(notes, method=method, route=route, status=status, seconds=seconds, client=client)
        return status
