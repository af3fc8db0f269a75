"""What the kernel knows of a connection: how much of what was sent the client has taken."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import Any

import attrs

_INFO_BYTES = 160
# Unsent bytes that the kernel accepts before it lets a connection wait. Without it a client that reads nothing is sent
# some hundred KiB that no limit of the process counts, and one that reads slowly seems to stall.
_UNSENT_BYTES = 64 << 10


@attrs.frozen
class Unsent:
    """What a client has not taken yet.

    Attributes:
        is_empty: whether it has taken everything.
        taken: a count that grows by the bytes that it takes.
    """

    is_empty: bool
    taken: int


class TcpState:
    """The state of a connection's socket. On Linux it is exact; elsewhere it is guessed from the buffer of the process.

    Args:
        transport: the connection.
        unacknowledged_seconds: after these the kernel closes a connection whose client takes nothing, also when the
            process has closed it already.
    """

    def __init__(self, transport: asyncio.Transport, unacknowledged_seconds: float) -> None:
        self._transport = transport
        self._socket: Any = transport.get_extra_info("socket")
        self._guessed_taken = 0
        self._last_buffered = 0
        options = [("TCP_NOTSENT_LOWAT", _UNSENT_BYTES), ("TCP_USER_TIMEOUT", int(unacknowledged_seconds * 1_000))]
        for name, value in options:
            with contextlib.suppress(AttributeError, OSError):  # not on this platform, or no TCP
                self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def unsent(self) -> Unsent:
        """What the client has not taken yet."""
        buffered = self._transport.get_write_buffer_size()
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                return _of_linux(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES), buffered)
        self._guessed_taken += max(0, self._last_buffered - buffered)
        self._last_buffered = buffered
        return Unsent(buffered == 0, self._guessed_taken)


def _of_linux(info: bytes, buffered: int) -> Unsent:
    """From `struct tcp_info`: tcpi_unacked, tcpi_bytes_acked and tcpi_notsent_bytes."""
    unacknowledged = int.from_bytes(info[24:28], sys.byteorder)
    taken = int.from_bytes(info[120:128], sys.byteorder)
    unsent = int.from_bytes(info[144:148], sys.byteorder)
    return Unsent(not (buffered or unacknowledged or unsent), taken)
