"""A connection with limits of its own: headers that end, bodies of the declared size, responses that are taken."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from holded_pipeline.api.serving.connection_log import connection_logger
from holded_pipeline.api.serving.connection_table import ConnectionTable
from holded_pipeline.api.serving.slowest_rate import SlowestRate
from holded_pipeline.api.serving.tcp_state import TcpState
from holded_pipeline.api.settings import Limits

_HEADER_SECONDS = 10.0
_HEADER_BYTES = 1 << 16
_READ_BYTES = 256 << 10  # what asyncio and uvloop read at once
_REST_BYTES = 16 << 20  # of a chunked body that is answered already
_PIPELINED_REQUESTS = 8  # that wait behind the one in progress
_REFUSAL_BODY = b'{"title":"Service unavailable","status":503,"code":"busy","detail":"too many connections"}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_REFUSAL_BODY), _REFUSAL_BODY)
)


class TooManyRequestsAtOnceError(Exception):
    """A client sent more requests than may wait for their turn."""


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits for what a client sends, and for what it does not take.

    uvicorn closes idle connections (`timeout_keep_alive`), but a client may send headers as slowly as it likes, and as
    many. Here bytes that belong to no request in progress start a deadline, which the beginning of a request ends. So
    a connection is closed that sends nothing at all, headers without an end, or the rest of a body whose request is
    answered already. What may still come is counted too: 64 KiB beside the bodies that requests declare. A request
    begins after the read that has its headers, and that read may hold 256 KiB more, so these are tolerated.

    A client that does not take its response is noticed by the table, which asks once a second; its connection is
    aborted, since closing it would wait for the client. One read may hold ten thousand requests: those beyond the
    first few are dropped, and the connection ends after the last response.

    A connection over TLS is admitted before its handshake, see `TlsListener`.

    Args:
        table: the connections of the listener.
        limits: see `Limits`.
        settings: what uvicorn passes.
    """

    def __init__(self, *, table: ConnectionTable, limits: Limits, **settings: Any) -> None:
        super().__init__(**settings)
        self.logger = connection_logger()
        self._table = table
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._allowed_bytes: float = _HEADER_BYTES
        self._received = self._moved_before = 0
        self._may_be_unsent = False
        self._is_ignoring = False  # what the client still sends
        self._rate = SlowestRate(limits.bytes_per_second)
        self._cycles: deque[RequestResponseCycle] = deque()  # requests in progress, the oldest first
        self._end_handshake: Callable[[], object] | None = None

    def admit_before_handshake(self, host: str, end_handshake: Callable[[], object]) -> bool:
        """Whether there is a place for this connection, which is then its.

        Args:
            host: the address of the client.
            end_handshake: called when the place is given to another connection before the handshake is complete.
        """
        self._end_handshake = end_handshake
        return self._table.admit(self, host)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Closes the connection if there is no place for it; starts the deadline for the first request."""
        if self._end_handshake is None and not self._table.admit(self, _host_of(transport)):
            self._is_ignoring = True
            transport.write(_REFUSAL)
            transport.close()
            return
        self._end_handshake = None
        self._tcp = TcpState(transport, 3 * self._limits.stall_seconds)
        super().connection_made(transport)
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        """Starts the deadline at the first bytes after a request; closes a connection that sent too much."""
        if self._is_ignoring:
            return
        if self._allowed_bytes < -_READ_BYTES:
            self.transport.close()
            return
        self._may_be_unsent = True
        self._received += len(data)
        self._allowed_bytes -= len(data)
        if self._deadline is None and not self._is_busy:
            self._start_deadline()
        super().data_received(data)

    def pause_writing(self) -> None:
        """The client does not take the response as fast as it is sent."""
        super().pause_writing()
        self._table.is_waiting(self)

    def resume_writing(self) -> None:
        """The client has taken most of what was sent."""
        super().resume_writing()
        if self._is_busy:
            self._table.is_needed(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the deadline and the requests in progress."""
        self.end()
        if self.transport is not None:
            super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: the connection ends after the requests that have begun."""
        self._table.is_stopping = True
        super().shutdown()

    def abort(self) -> None:
        """Closes the connection at once, whatever is unsent."""
        self.end()
        if self._end_handshake is not None:
            self._end_handshake()
        elif self.transport is not None:
            self.transport.abort()

    def check_rate(self, now: float, seconds: float) -> None:
        """Aborts the connection if its client took too little for these seconds."""
        if self.transport is None:  # the handshake has its own deadline
            if self._table.is_stopping:
                self.abort()
            return
        if self._table.is_stopping and not self._is_busy and self._tcp.unsent().is_empty:
            self.abort()  # over TLS the client would have to confirm the end, which one that is idle does not
            return
        if not self._may_be_unsent and not self._is_busy:
            return
        unsent = self._tcp.unsent()
        if unsent.is_empty:
            self._rate.reset()
            self._may_be_unsent = False
        elif self._rate.is_too_slow(unsent.taken, now, seconds):
            self.logger.debug("the connection of %s is closed: it does not take its response", self.client)
            self._table.count_slow()
            self.abort()
            return
        moved = self._received + unsent.taken
        is_receiving = self._is_busy and self.cycle.more_body
        if (is_receiving or not unsent.is_empty) and moved - self._moved_before >= self._limits.bytes_per_second:
            self._table.is_waiting(self)  # it was not idle: others are replaced before it
        self._moved_before = moved

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Stops parsing if too many requests wait."""
        if len(self.pipeline) >= _PIPELINED_REQUESTS:
            raise TooManyRequestsAtOnceError
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request begins: there is no deadline here, the app keeps its own."""
        super().on_headers_complete()
        self._cycles.append(self.cycle)
        self._end_deadline()
        self._allowed_bytes = _HEADER_BYTES + _declared_body_bytes(self.headers)
        self._table.is_waiting(self)

    def on_message_complete(self) -> None:
        """What comes now belongs to the next request."""
        super().on_message_complete()
        self._allowed_bytes = _HEADER_BYTES
        if self._is_busy and not self.flow.write_paused:
            self._table.is_needed(self)

    def on_response_complete(self) -> None:
        """The connection waits for the next request, or for the client to take what was sent."""
        self._cycles.popleft()
        super().on_response_complete()
        if self._is_busy:
            return
        if math.isinf(self._allowed_bytes):
            self._allowed_bytes = _REST_BYTES
        self._table.is_waiting(self)

    def send_400_response(self, msg: str) -> None:
        """What follows the requests in progress is no request, or one too many: their responses come first."""
        if self._is_busy and not self.cycle.more_body:
            self.cycle.keep_alive = False
            self._is_ignoring = True
            return
        super().send_400_response(msg)

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def end(self) -> None:
        """Ends the deadline, and the requests in progress: uvicorn itself ends only the newest one."""
        self._end_deadline()
        self._table.remove(self)
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()


def _host_of(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _declared_body_bytes(headers: list[tuple[bytes, bytes]]) -> float:
    """The size of a request's body; the parser rejects a request that declares both a length and chunks."""
    size = 0.0
    for name, value in headers:
        if name == b"transfer-encoding":
            return math.inf
        if name == b"content-length":
            size = int(value)
    return size
