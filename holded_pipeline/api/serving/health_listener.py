"""A listener for health alone: it answers while others fill the public one."""

from __future__ import annotations

import attrs
from starlette.types import ASGIApp, Receive, Scope, Send

from holded_pipeline.api.settings import Limits

_PATHS = ("/health", "/ready", "/metrics")
_CONNECTIONS = 64


def only_health(app: ASGIApp) -> ASGIApp:
    """The app with these paths alone: /health, /ready and, with a key as always, /metrics."""

    async def filtered(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removesuffix("/") not in _PATHS:
            scope = {**scope, "path": "/", "raw_path": b"/"}  # the app has no such path either, and says so
        await app(scope, receive, send)

    return filtered


def health_limits(limits: Limits) -> Limits:
    """The limits of connections to this listener."""
    return attrs.evolve(limits, connections=_CONNECTIONS, address_connections=_CONNECTIONS)
