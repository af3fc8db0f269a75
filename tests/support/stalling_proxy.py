"""A TCP proxy that can hold back what passes through it."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Proxy:
    """A TCP proxy before the store; bytes wait in it until `flow` is set."""

    def __init__(self, endpoint, host="127.0.0.1"):
        target = urlsplit(endpoint)
        self._target = (target.hostname, target.port)
        self._server = socket.create_server((host, 0))
        self.endpoint = f"http://{host}:{self._server.getsockname()[1]}"
        self.flow = threading.Event()
        self.flow.set()
        self._sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                _notice_a_dead_peer(client)
                upstream = socket.create_connection(self._target)
                self._sockets += [client, upstream]
                for source, sink in ((client, upstream), (upstream, client)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.flow.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self.flow.set()
        for each in [self._server, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _notice_a_dead_peer(client):
    """As PostgreSQL does in a load: a transaction of a host that is gone must not keep its locks.

    Keepalives tell it of a quiet connection, the timeout of one with an answer on its way.
    """
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    limits = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2), ("TCP_USER_TIMEOUT", 20_000))
    for option, value in limits:
        if hasattr(socket, option):
            client.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
