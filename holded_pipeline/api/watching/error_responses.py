"""ASGI middleware: logs an unexpected error under the id of its request, and answers with that id alone."""

from __future__ import annotations

import logging
import secrets

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holded_pipeline.api.problems import Problem
from holded_pipeline.api.watching.current_request import current_request

_logger = logging.getLogger("holded_pipeline.api")


class ErrorResponses:
    """Answers 500 where the app raises."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; passes anything else on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            raise
        except Exception:
            notes = current_request()
            error_id = secrets.token_hex(8) if notes is None else notes.request_id
            _logger.exception("error %s in %s", error_id, route_template(scope))
            if has_begun:  # the response can only be broken off
                raise
            detail = f"this server failed; report the id {error_id} to its operators, whose log has the error"
            await Problem(500, "internal_error", detail).response()(scope, receive, send)


def route_template(scope: Scope) -> str:
    """The path of the route, such as `/events/{event_id}`: a label must not have what a client writes into a path."""
    return str(getattr(scope.get("route"), "path", None) or "none")
