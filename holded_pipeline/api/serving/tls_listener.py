"""Accepts connections over TLS: each counts before its handshake, and the handshake has a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable

from holded_pipeline.api.serving.connections import BoundedConnection

_HANDSHAKE_SECONDS = 10.0
_OUT_OF_FILES_SECONDS = 0.1
_logger = logging.getLogger("holded_pipeline.api")


class TlsListener:
    """Accepts connections at a socket.

    A listener of asyncio tells a protocol of a connection after the handshake. So any number of clients could hold
    connections by not completing it.

    Args:
        listening: the socket; it is closed with the listener.
        tls: the settings of TLS.
        protocol: makes the protocol of a connection.
        shutdown_seconds: seconds that a client may take to confirm the end of a connection.
    """

    def __init__(
        self,
        listening: socket.socket,
        tls: ssl.SSLContext,
        protocol: Callable[[], BoundedConnection],
        shutdown_seconds: float,
    ) -> None:
        self._listening = listening
        self._tls = tls
        self._protocol = protocol
        self._shutdown_seconds = shutdown_seconds
        self._handshakes: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Accepts no more, and ends the handshakes."""
        self._accepting.cancel()
        self._listening.close()
        for handshake in self._handshakes:
            handshake.cancel()

    async def wait_closed(self) -> None:
        """Returns when the listener is closed."""
        await asyncio.wait([self._accepting, *self._handshakes])

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(self._listening)
            except OSError as error:
                _logger.debug(
                    "no connection was accepted: %s", error
                )  # by then the client has closed it, or no file is left
                await asyncio.sleep(_OUT_OF_FILES_SECONDS)
                continue
            connection = self._protocol()
            handshake = loop.create_task(self._connect(connection, accepted))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)
            if not connection.admit_before_handshake(str(peer[0]), handshake.cancel):
                handshake.cancel()

    async def _connect(self, connection: BoundedConnection, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=self._shutdown_seconds,
            )
        except (OSError, asyncio.CancelledError) as error:
            connection.logger.debug("no TLS connection was made: %s", error or type(error).__name__)
            connection.end()
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)
            accepted.close()
