"""ASGI middleware: `/collect/` is `/collect`. A redirect would lose the body of clients that do not follow it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

_PATHS = ("/collect/", "/events/", "/health/", "/ready/", "/metrics/", "/docs/", "/openapi.json/")


class TrailingSlashMiddleware:
    """Removes one slash from the end of the paths of this API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; passes anything else on."""
        if scope["type"] == "http" and scope["path"].endswith(_PATHS):
            scope = {**scope, "path": scope["path"][:-1]}
        await self._app(scope, receive, send)
