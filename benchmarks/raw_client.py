"""A client of the ingestion API for benchmarks: prepared requests over kept connections, to take little CPU."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import attrs


@attrs.define
class Answers:
    """What a client got: the statuses of its requests, and the seconds that each took."""

    statuses: Counter[int] = attrs.field(factory=Counter)
    waits: list[float] = attrs.field(factory=list)
    seconds: float = 0.0

    def wait(self, share: float) -> float:
        """The percentile `share` of the waiting time, in milliseconds."""
        ordered = sorted(self.waits) or [0.0]
        return 1_000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self.answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Ends the request when its response is complete."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or self.answered is None:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) >= int(length.partition(b"\r")[0]):
            self._received = b""
            self.answered.set_result(int(head[9:12]))

    def connection_lost(self, _: Exception | None) -> None:
        """Fails the request that waits."""
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(ConnectionResetError("the server closed the connection"))


def request_bytes(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST request as it is sent."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n").encode() + body


async def send_for(
    seconds: float, port: int, requests: Sequence[bytes], connections: int, *, pause: float = 0.0
) -> Answers:
    """Sends the requests again and again over several connections, each as fast as it is answered.

    Args:
        seconds: how long.
        port: the port of the API on this machine.
        requests: what `request_bytes` returned.
        connections: connections at one time.
        pause: seconds of each connection between two requests.
    """
    answers = Answers()
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    numbers = iter(range(10**9))

    async def send() -> None:
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
        while (sent := time.monotonic()) - began < seconds:
            connection.answered = loop.create_future()
            connection.transport.write(requests[next(numbers) % len(requests)])
            answers.statuses[await connection.answered] += 1
            answers.waits.append(time.monotonic() - sent)
            if pause:
                await asyncio.sleep(max(0.0, sent + pause - time.monotonic()))
        connection.transport.close()

    await asyncio.gather(*(send() for _ in range(connections)))
    answers.seconds = time.monotonic() - began
    return answers
