"""A connection with limits of its own: headers that end, bodies of the declared size."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADER_SECONDS = 10.0
_HEADER_BYTES = 1 << 16
_READ_BYTES = 256 << 10  # what asyncio and uvloop read at once
_REST_BYTES = 16 << 20  # of a chunked body that is answered already
_STATE_KEY = "holded_pipeline.connection"


class BoundedConnection(asyncio.Protocol):
    """Passes a connection on to uvicorn's HTTP protocol; closes it when a request's headers are too slow or too long.

    uvicorn closes idle connections (`timeout_keep_alive`), but a client may send headers as slowly as it likes, and as
    many. Here bytes that belong to no request in progress start a deadline, which the beginning of a request ends. So
    a connection is closed that sends nothing at all, headers without an end, or the rest of a body whose request is
    answered already. What may still come is counted too: 64 KiB beside the bodies that requests declare. A request
    begins after the read that has its headers, and that read may hold 256 KiB more, so these are tolerated.

    uvicorn makes one of these for each connection when it is given as its setting `http`. The app says when its
    requests begin and end, see `track_requests`: it finds the connection in the `state` of the ASGI scope.
    """

    def __init__(self, *, app_state: dict[str, Any], **settings: Any) -> None:
        self._http = HttpToolsProtocol(app_state={**app_state, _STATE_KEY: self}, **settings)
        self._deadline: asyncio.TimerHandle | None = None
        self._requests = 0  # more than one where a client does not wait for an answer before it sends on
        self._allowed_bytes: float = _HEADER_BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the deadline for the first request."""
        self._transport = transport
        self._start_deadline()
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Starts the deadline at the first bytes after a request; closes a connection that sent too much."""
        if self._allowed_bytes < -_READ_BYTES:
            self._transport.close()
            return
        self._allowed_bytes -= len(data)
        if not self._requests and self._deadline is None:
            self._start_deadline()
        self._http.data_received(data)

    def eof_received(self) -> None:
        """See `asyncio.Protocol`."""
        self._http.eof_received()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the deadline."""
        self._end_deadline()
        self._http.connection_lost(exc)

    @contextlib.contextmanager
    def request_in_progress(self, body_bytes: float) -> Iterator[None]:
        """The time of one request: there is no deadline here, the app keeps its own.

        Args:
            body_bytes: the size that the request declares for its body; infinite for a chunked body.
        """
        self._end_deadline()
        self._allowed_bytes = _HEADER_BYTES + body_bytes
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1
            if math.isinf(self._allowed_bytes):
                self._allowed_bytes = _REST_BYTES

    def body_is_complete(self) -> None:
        """What comes now belongs to the next request."""
        self._allowed_bytes = _HEADER_BYTES

    def _start_deadline(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(_HEADER_SECONDS, self._transport.close)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def track_requests(app: ASGIApp) -> ASGIApp:
    """The app, telling each `BoundedConnection` when its requests begin and end, and when a body is complete."""

    async def tracked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        connection: BoundedConnection = scope["state"].pop(_STATE_KEY)

        async def tracked_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                connection.body_is_complete()
            return message

        with connection.request_in_progress(_declared_body_bytes(scope)):
            await app(scope, tracked_receive, send)

    return tracked


def _declared_body_bytes(scope: Scope) -> float:
    """The size of a request's body; the parser rejects a request that declares both a length and chunks."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return math.inf
    return int(headers.get(b"content-length", b"0"))
