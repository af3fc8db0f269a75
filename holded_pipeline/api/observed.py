"""Around every request: it is counted and timed, and a fault of ours is logged with an id that the answer names."""

from __future__ import annotations

import logging
import secrets
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holded_pipeline.api.metrics import Metrics
from holded_pipeline.api.problems import Problem

_GONE = 499  # what nginx calls a client that did not wait for its answer
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_logger = logging.getLogger("holded_pipeline.api")


class Observed:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything else goes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        except ClientDisconnect:
            status = _GONE
        except Exception:
            fault = secrets.token_hex(8)
            _logger.exception("fault %s at %s", fault, _route(scope))
            if status:  # the answer has begun: it can only be broken off
                raise
            status = 500
            detail = f"this server has a fault; tell its operators the id {fault}"
            await Problem(status, "internal_error", detail).response()(scope, receive, send)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.answered(method, _route(scope), status or _GONE, time.monotonic() - began)


def _route(scope: Scope) -> str:
    """The route's template: what a client writes into a path is no label."""
    return str(getattr(scope.get("route"), "path", None) or "none")
