"""`serve`: the app under uvicorn, with limits for clients that send slowly or without end."""

from __future__ import annotations

import math
from typing import Any

import uvicorn
from fastapi import FastAPI

from holded_pipeline.api.access.authentication import is_loopback
from holded_pipeline.api.service import Service
from holded_pipeline.api.serving.addresses import listening_addresses
from holded_pipeline.api.serving.connections import BoundedConnection, track_requests

_IDLE_SECONDS = 15
_CONNECTIONS = 2_000


def uvicorn_settings(app: FastAPI, **settings: Any) -> dict[str, Any]:
    """The arguments of `uvicorn.run` and `uvicorn.Config` that serve the app with all its limits.

    Args:
        app: what `create_app` returned.
        settings: more arguments, such as host and port.
    """
    service: Service = app.state.service
    return {
        "app": track_requests(app),
        "http": BoundedConnection,
        "ws": "none",
        "access_log": False,
        "server_header": False,
        "limit_concurrency": _CONNECTIONS,
        "timeout_keep_alive": _IDLE_SECONDS,
        "timeout_graceful_shutdown": math.ceil(service.limits.body_seconds + service.writing.store_seconds) + 1,
        **settings,
    }


def serve(
    app: FastAPI, *, host: str = "localhost", port: int = 8000, proxy: str | None = None, log_level: str = "info"
) -> None:
    """Serves the app until SIGTERM or Ctrl-C; what was accepted by then is stored before this returns.

    A client has 10 s for the headers of a request, `Limits.body_seconds` for its body, and 15 s between two requests.
    Headers of up to 64 KiB are accepted; longer ones close the connection within some hundred KiB. There are at most
    2,000 connections.

    Args:
        app: what `create_app` returned.
        host: the address to listen on; `localhost` is 127.0.0.1 and ::1. Other addresses than loopback need API keys.
        port: the port to listen on.
        proxy: address of the reverse proxy whose X-Forwarded-For is trusted.
        log_level: uvicorn's.

    Raises:
        ValueError: the address is not loopback and there are no API keys.
    """
    service: Service = app.state.service
    if not service.authenticator.has_keys and host != "localhost" and not is_loopback(host):
        raise ValueError(f"without API keys the API listens on loopback only, not on {host}; give create_app keys")
    settings = uvicorn_settings(
        app,
        host=listening_addresses(host),
        port=port,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy,
        log_level=log_level,
    )
    uvicorn.run(**settings)
