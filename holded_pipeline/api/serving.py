"""`serve`: the app under uvicorn, set up so that slow and endless clients end."""

from __future__ import annotations

import asyncio
import ipaddress
import math

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holded_pipeline.api.service import Service

_HEADER_SECONDS = 10.0
_HEADER_BYTES = 1 << 16
_IDLE_SECONDS = 15
_CONNECTIONS = 2_000


class BoundedHeaders(HttpToolsProtocol):
    """A connection whose request line and headers have to come within a time and a size, which uvicorn leaves open.

    So has what is left of a body when its request is answered already: no part of the app waits for that.
    """

    _deadline: asyncio.TimerHandle | None = None
    _rest: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client that connects has to say something."""
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._headers_came()
        self._rest_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes, of which those before the end of the headers are counted."""
        super().data_received(data)
        if self._deadline is not None:
            self._header_bytes += len(data)
            if self._header_bytes > _HEADER_BYTES:
                self.transport.close()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        if self._deadline is None:
            self._expect_headers()

    def on_headers_complete(self) -> None:
        """From here on the app keeps the time."""
        self._headers_came()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The answer is out, perhaps before all of the request is in."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._rest = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._rest_came()
        super().on_message_complete()

    def _expect_headers(self) -> None:
        self._header_bytes = 0
        self._deadline = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _headers_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _rest_came(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None


def serve(
    app: FastAPI, *, host: str = "127.0.0.1", port: int = 8000, proxy: str | None = None, log_level: str = "info"
) -> None:
    """Serves the app until SIGTERM or Ctrl-C; what was taken in by then is stored before this returns.

    Args:
        app: what `create_app` made.
        host: the address to listen on. Other addresses than loopback need API keys.
        port: the port to listen on.
        proxy: address of the reverse proxy whose X-Forwarded-For is believed.
        log_level: uvicorn's.

    Raises:
        ValueError: the address is not loopback and there are no API keys.
    """
    service: Service = app.state.service
    if not service.gate.has_keys and not _is_loopback(host):
        raise ValueError(f"without API keys the API listens on loopback alone, not on {host}; give it keys")
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=BoundedHeaders,
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=math.ceil(service.limits.body_seconds + service.writing.store_seconds) + 1,
        log_level=log_level,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
