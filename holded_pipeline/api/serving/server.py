"""The server: uvicorn with our connections, and a second listener for health by option."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from holded_pipeline.api.service import Service
from holded_pipeline.api.serving.connection_table import ConnectionTable
from holded_pipeline.api.serving.connections import BoundedConnection
from holded_pipeline.api.serving.health_listener import health_limits, only_health
from holded_pipeline.api.serving.trusted_proxy import TrustedProxy
from holded_pipeline.api.settings import Limits

_IDLE_SECONDS = 15


def uvicorn_settings(
    app: FastAPI,
    *,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    proxy: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """The arguments of `uvicorn.Config` that serve the app with all its limits.

    Args:
        app: what `create_app` returned.
        limits: those of connections; None for the app's.
        tls: the settings of TLS, see `server_tls`; None for plain HTTP.
        proxy: address of the reverse proxy whose X-Forwarded-For is trusted.
        settings: more arguments, such as host and port.
    """
    service: Service = app.state.service
    limits = limits or service.limits
    table = ConnectionTable(limits, TrustedProxy(proxy))
    return {
        "app": app,
        "http": partial(BoundedConnection, table=table, limits=limits, tls=tls),
        "ws": "none",
        "access_log": False,
        "server_header": False,
        "proxy_headers": proxy is not None,
        "forwarded_allow_ips": proxy,
        "timeout_keep_alive": _IDLE_SECONDS,
        "timeout_graceful_shutdown": math.ceil(service.limits.body_seconds + service.writing.store_seconds) + 1,
        **settings,
    }


class ApiServer(uvicorn.Server):
    """uvicorn's server, with a second listener for /health, /ready and /metrics if it is given a socket.

    Args:
        config: made of `uvicorn_settings`.
        health_socket: where the second listener listens; None for none.
    """

    def __init__(self, config: uvicorn.Config, health_socket: socket.socket | None = None) -> None:
        super().__init__(config)
        self._health_socket = health_socket

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the listeners."""
        await super().startup(sockets)
        if self._health_socket is None or self.should_exit:
            return
        settings = self.config.http.keywords  # type: ignore[union-attr]  the partial of `uvicorn_settings`
        limits = health_limits(settings["limits"])
        config = uvicorn.Config(
            only_health(self.config.loaded_app),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_IDLE_SECONDS,
        )
        config.load()
        protocol = partial(
            BoundedConnection,
            table=ConnectionTable(limits, TrustedProxy(None)),
            limits=limits,
            tls=None,
            config=config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        listener = await asyncio.get_running_loop().create_server(protocol, sock=self._health_socket)
        self.servers.append(listener)  # so that uvicorn closes it with its own

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; clients that do not take their responses are given little time."""
        self.config.http.keywords["table"].is_stopping = True  # type: ignore[union-attr]  as above
        await super().shutdown(sockets)
