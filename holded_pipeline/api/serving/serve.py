"""`serve`: the app under uvicorn, with limits for clients that send slowly or without end."""

from __future__ import annotations

import math
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from holded_pipeline.api.access.authentication import is_loopback
from holded_pipeline.api.app_recipe import AppSource
from holded_pipeline.api.service import Service
from holded_pipeline.api.serving.connections import BoundedConnection, track_requests
from holded_pipeline.api.serving.workers import listen, require_no_import, serve_with_workers
from holded_pipeline.api.watching.json_logging import process_logging

_IDLE_SECONDS = 15
_CONNECTIONS = 2_000
_ONCE = 10**9  # seconds between two calls of uvicorn's callback; the first is when the server has started


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
    app: AppSource,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    proxy: str | None = None,
    workers: int = 1,
    log_level: str = "info",
) -> None:
    """Serves the app until SIGTERM or Ctrl-C; what was accepted by then is stored before this returns.

    A client has 10 s for the headers of a request, `Limits.body_seconds` for its body, and 15 s between two requests.
    Headers of up to 64 KiB are accepted; longer ones close the connection within some hundred KiB. There are at most
    2,000 connections.

    With several workers each process makes the app anew, by the same call of `create_app`. One that ends, however
    that was, is replaced; metrics and recent events are those of all. SIGHUP is then ignored.

    Args:
        app: what `create_app` returned, or a function without arguments that makes it and can be pickled, so a
            function at the top of a module.
        host: the address to listen on. Other addresses than loopback need API keys.
        port: the port to listen on.
        proxy: address of the reverse proxy whose X-Forwarded-For is trusted.
        workers: how many processes serve; each uses about one core at most.
        log_level: uvicorn's.

    Raises:
        ValueError: the address is not loopback and there are no API keys, or there is not at least one worker.
        ConfigurationError: several workers cannot be started; the message says why.
    """
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers}")
    if workers > 1:
        require_no_import()
    built = app if isinstance(app, FastAPI) else app()
    service: Service = built.state.service
    if not service.authenticator.has_keys and host != "localhost" and not is_loopback(host):
        raise ValueError(f"without API keys the API listens on loopback only, not on {host}; give create_app keys")
    if workers == 1:
        with process_logging(built.state.log_format, log_level) as logs:
            uvicorn.run(**uvicorn_settings(built, host=host, port=port, **_proxy_settings(proxy), **logs))
        return
    with process_logging(built.state.log_format, log_level):
        run = partial(_run_worker_server, proxy=proxy, log_level=log_level)
        serve_with_workers(app, run, workers=workers, listener=listen(host, port))


def _proxy_settings(proxy: str | None) -> dict[str, Any]:
    return {"proxy_headers": proxy is not None, "forwarded_allow_ips": proxy}


def _run_worker_server(
    app: FastAPI, listener: socket.socket, say_ready: Callable[[], None], *, proxy: str | None, log_level: str
) -> None:
    """Serves the app in a worker process."""

    async def notify() -> None:
        say_ready()

    with process_logging(app.state.log_format, log_level) as logs:
        ready = {"callback_notify": notify, "timeout_notify": _ONCE}
        settings = uvicorn_settings(app, **_proxy_settings(proxy), **logs, **ready)
        server = uvicorn.Server(uvicorn.Config(**settings))
        server.run(sockets=[listener])
        if not server.started:
            sys.exit(STARTUP_FAILURE)
