"""Servers that may be taken away, and a network that may be cut: a proxy between a client and a real server."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

import holded_pipeline as hp
from holded_pipeline import local

PASS, CUT, HALF, DEAF = "pass", "cut", "half", "deaf"
"""What becomes of some bytes on their way: forwarded; the connection is cut instead; cut after half of them;
forwarded, but the connection is cut as soon as the other side has answered."""

Hook = Callable[[bytes], "str | bytes"]


class Proxy:
    """Forwards one port to another, and does to the bytes what `upward` and `downward` say.

    A hook may return bytes as well: an answer to the client in the server's place, before the connection is cut.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.upward: Hook = lambda _: PASS
        self.downward: Hook = lambda _: PASS
        self.silent = threading.Event()  # nothing is forwarded any more, and nothing closed
        self.done: list[str] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def once(self, pattern: bytes, action: str | bytes | Callable[[], str | bytes], *, times: int = 1) -> Hook:
        """A hook that acts on the first bytes with a pattern in them; what it did stands in `done`."""
        matches = re.compile(pattern, re.DOTALL).search
        lock = threading.Lock()

        def hook(data: bytes) -> str | bytes:
            with lock:
                if len(self.done) >= times or not matches(data):
                    return PASS
                self.done.append("acted")
            return action() if callable(action) else action

        return hook

    def go_silent(self) -> str:
        self.silent.set()
        return PASS

    def close(self) -> None:
        self._listener.close()
        for each in list(self._open):
            _end(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            _end(client)
            return
        self._open |= {client, server}
        deaf = threading.Event()
        up = threading.Thread(target=self._pump, args=(client, server, "upward", deaf), daemon=True)
        up.start()
        self._pump(server, client, "downward", deaf)
        up.join()
        self._open -= {client, server}
        client.close()
        server.close()

    def _pump(self, source: socket.socket, target: socket.socket, way: str, deaf: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if way == "downward" and deaf.is_set():
                    break
                action = getattr(self, way)(data)
                if self.silent.is_set():
                    continue
                if isinstance(action, bytes):
                    source.sendall(action)
                    break
                if action == CUT:
                    break
                if action == DEAF:
                    deaf.set()
                target.sendall(data[: len(data) // 2] if action == HALF else data)
                if action == HALF:
                    break
        _end(source)
        _end(target)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def servers() -> Iterator[local.Stack]:
    """A stack of their own for tests that stop servers."""
    with local.stack() as running:
        yield running


@pytest.fixture
def store(servers):
    return servers.new_bucket()


@pytest.fixture
def database(servers):
    return servers.new_database()


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], Proxy]]:
    made: list[Proxy] = []

    def make(port: int) -> Proxy:
        made.append(Proxy(port))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def cut_postgres(database, proxy_to):
    """A database behind a proxy, with little patience, and the proxy."""
    url = make_url(database.url)
    proxy = proxy_to(url.port)
    there = url.set(port=proxy.port).render_as_string()
    return hp.Postgres(there, connect_timeout=2, retry=hp.Retry(8, first_wait=0.05)), proxy


@pytest.fixture
def cut_store(store, proxy_to):
    """A store behind a proxy, with little patience, and the proxy."""
    proxy = proxy_to(urlsplit(store.endpoint).port)
    there = attrs.evolve(
        store, endpoint=f"http://127.0.0.1:{proxy.port}", timeout=2, retry=hp.Retry(10, first_wait=0.05)
    )
    return there, proxy


@pytest.fixture
def query():
    def run(db, text):
        engine = db.engine(poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            result = connection.execute(sa.text(text))
            return [tuple(row) for row in result] if result.returns_rows else []

    return run
