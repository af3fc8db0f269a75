"""The server: uvicorn with our connections, TLS, and a second listener for health by option."""

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
from holded_pipeline.api.serving.addresses import listening_addresses
from holded_pipeline.api.serving.connection_table import ConnectionTable
from holded_pipeline.api.serving.connections import BoundedConnection
from holded_pipeline.api.serving.health_listener import health_limits, only_health
from holded_pipeline.api.serving.tls_listener import TlsListener
from holded_pipeline.api.serving.trusted_proxy import TrustedProxy
from holded_pipeline.api.settings import Limits
from holded_pipeline.model.errors import ConfigurationError

_IDLE_SECONDS = 15
_BACKLOG = 2_048


def uvicorn_settings(
    app: FastAPI, *, limits: Limits | None = None, proxy: str | None = None, **settings: Any
) -> dict[str, Any]:
    """The arguments of `uvicorn.Config` that serve the app with all its limits.

    Args:
        app: what `create_app` returned.
        limits: those of connections; None for the app's.
        proxy: address of the reverse proxy whose X-Forwarded-For is trusted.
        settings: more arguments, such as host and port.
    """
    service: Service = app.state.service
    limits = limits or service.limits
    table = ConnectionTable(limits, TrustedProxy(proxy))
    return {
        "app": app,
        "http": partial(BoundedConnection, table=table, limits=limits),
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
    """uvicorn's server, with TLS and with a second listener for /health, /ready and /metrics by option.

    Args:
        config: made of `uvicorn_settings`.
        tls: the settings of TLS, see `server_tls`; None for plain HTTP. `startup` needs sockets then, see `listen`.
        health_socket: where the second listener listens; None for none.
    """

    def __init__(
        self, config: uvicorn.Config, *, tls: ssl.SSLContext | None = None, health_socket: socket.socket | None = None
    ) -> None:
        super().__init__(config)
        connection: Any = config.http  # that of `uvicorn_settings`
        self._table: ConnectionTable = connection.keywords["table"]
        self._limits: Limits = connection.keywords["limits"]
        self._tls = tls
        self._health_socket = health_socket

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the listeners."""
        if self._tls is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self.servers.extend(self._tls_listener(each, self._tls) for each in sockets or ())
        if self._health_socket is not None and not self.should_exit:
            await self._start_health_listener(self._health_socket)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; clients that do not take their responses are given little time."""
        self._table.is_stopping = True
        await super().shutdown(sockets)

    def _tls_listener(self, listening: socket.socket, tls: ssl.SSLContext) -> Any:
        protocol = self._protocol(self.config, self._table, self._limits)
        return TlsListener(listening, tls, protocol, self._limits.stall_seconds)

    async def _start_health_listener(self, listening: socket.socket) -> None:
        limits = health_limits(self._limits)
        app = only_health(self.config.loaded_app)
        config = uvicorn.Config(app, ws="none", log_config=None, proxy_headers=False, timeout_keep_alive=_IDLE_SECONDS)
        config.load()
        protocol = self._protocol(config, ConnectionTable(limits, TrustedProxy(None)), limits)
        server = await asyncio.get_running_loop().create_server(protocol, sock=listening)
        self.servers.append(server)  # so that uvicorn closes it with its own

    def _protocol(self, config: uvicorn.Config, table: ConnectionTable, limits: Limits) -> partial[BoundedConnection]:
        return partial(
            BoundedConnection,
            table=table,
            limits=limits,
            config=config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )


def listen(host: str, port: int, option: str) -> socket.socket:
    """A socket that listens.

    Args:
        host: the address.
        port: the port.
        option: the name of the option that a user changes if the port is taken.

    Raises:
        ConfigurationError: nothing can listen there.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"the API cannot listen on {host}:{port}: {error}; name another {option}") from error


def listen_everywhere(host: str, port: int, option: str) -> list[socket.socket]:
    """Sockets that listen, one for each address that the host stands for, on one port; see `listen`."""
    addresses = listening_addresses(host)
    if isinstance(addresses, str):
        return [listen(addresses, port, option)]
    sockets = [listen(addresses[0], port, option)]
    port = sockets[0].getsockname()[1]
    try:
        sockets += [listen(each, port, option) for each in addresses[1:]]
    except ConfigurationError:
        sockets[0].close()
        raise
    return sockets
