"""What clients that hold connections cost the ingestion API, and whether others are still answered.

    python benchmarks/hostile_clients.py                    2,000 connections of each kind, 20 seconds each
    python benchmarks/hostile_clients.py --connections 200 --seconds 5

The hostile clients share one address, send or read as slowly as their kind says, and open a connection again as soon
as the server closes it. Meanwhile another client of the same address asks for `/health`, on a port of its own and on
the public one, and sends packages to `/collect`, each time over a new connection. It starts a store and the API on
loopback, and stops them at the end. It needs as many open files as connections: `ulimit -n 8192`.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import http.client
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import attrs

import holded_pipeline as hp
from holded_pipeline.local.ports import free_ports

API = Path(__file__).parent.parent / "examples" / "collect_api.py"
_START_SECONDS = 60.0
_SPARE_FILES = 200
_OK = (200, 202)


@attrs.frozen
class Kind:
    """How a hostile client behaves.

    Attributes:
        first: what it sends at once.
        each_second: what it sends each second after that.
        reads: bytes that it reads each second.
    """

    name: str
    first: bytes = b""
    each_second: bytes = b""
    reads: int = 0


def kinds(key: str) -> list[Kind]:
    """The hostile clients; only the one with slow bodies has an API key."""
    document = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
    body = f"POST /collect HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n".encode()
    body += b"Content-Type: application/json\r\nContent-Length: 16000000\r\n\r\n[" + b" " * 100_000
    return [
        Kind("reads nothing", document),
        Kind("idle"),
        Kind("slow headers", b"GET /health HTTP/1.1\r\nX-Slow: ", b"x"),
        Kind("slow bodies", body, b" "),
        Kind("reads a byte a second", document, reads=1),
    ]


class Attack:
    """Many connections of one kind, opened again whenever the server closes them, until the end of the block."""

    def __init__(self, port: int, kind: Kind, connections: int) -> None:
        self._port = port
        self._kind = kind
        self._connections = connections
        self._sockets: dict[socket.socket, bytes] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.opened = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for each in self._sockets:
            each.close()

    def held(self) -> int:
        """How many connections are open now."""
        return len(self._sockets)

    def _run(self) -> None:
        while not self._ended.is_set():
            started = time.monotonic()
            for _ in range(self._connections - len(self._sockets)):
                self._open()
                if self._ended.is_set():
                    return
            for each in list(self._sockets):
                self._continue(each)
            self._ended.wait(max(0.0, 1 - (time.monotonic() - started)))

    def _open(self) -> None:
        each = socket.socket()
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        each.settimeout(2)
        try:
            each.connect(("127.0.0.1", self._port))
            self.opened += 1
            each.setblocking(False)
            self._sockets[each] = self._kind.first
            self._send(each)
        except OSError:
            self._drop(each)

    def _continue(self, each: socket.socket) -> None:
        try:
            self._send(each)
            if self._kind.each_second and not self._sockets[each]:
                each.send(self._kind.each_second)
            if (
                (self._kind.reads and not each.recv(self._kind.reads))
                or (
                    not self._kind.reads and not self._kind.first.startswith(b"GET /openapi") and not each.recv(1 << 16)
                )
                or _is_reset(each)
            ):
                self._drop(each)
        except BlockingIOError:
            if _is_reset(each):
                self._drop(each)
        except OSError:
            self._drop(each)

    def _send(self, each: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while waiting := self._sockets[each]:
                self._sockets[each] = waiting[each.send(waiting) :]

    def _drop(self, each: socket.socket) -> None:
        self._sockets.pop(each, None)
        each.close()


def _is_reset(each: socket.socket) -> bool:
    """Whether the server reset the connection; one that has unread bytes and an end behind them counts as open."""
    return each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (errno.ECONNRESET, errno.EPIPE)


@attrs.define
class Waits:
    """The waiting times of one call, in milliseconds, and the number of calls that failed."""

    times: list[float] = attrs.field(factory=list)
    failed: int = 0

    def __str__(self) -> str:
        ordered = sorted(self.times) or [0.0]
        middle, late = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
        return f"{middle:>6.0f} {late:>6.0f} {self.failed:>3}/{len(self.times) + self.failed:<4}"


def ask(port: int, method: str, path: str, key: str, waits: Waits) -> None:
    """Makes a call over a new connection."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = b'[{"a":1}]' if method == "POST" else None
    try:
        connection.request(method, path, body, {"X-API-Key": key, "Content-Type": "application/json"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    if status in _OK:
        waits.times.append(1_000 * (time.monotonic() - started))
    else:
        waits.failed += 1


def resident(pid: int) -> float:
    """The resident memory of a process in MB."""
    asked = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return int(asked.stdout) / 1_024


@contextlib.contextmanager
def api(lake: hp.MinIO, key: str, other_key: str, log: Path) -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    """Runs the API in a process of its own."""
    port, health_port = free_ports(2)
    command = [sys.executable, str(API), "--port", str(port), "--health-port", str(health_port), "--rate", "none"]
    command += ["--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key]
    env = {**os.environ, "MINIO_SECRET_KEY": lake.secret_key.reveal()}
    env |= {"HOLDED_API_KEY": key, "HOLDED_API_KEY_OTHER": other_key}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output)  # noqa: S603  our own example
    try:
        until = time.monotonic() + _START_SECONDS
        ready = Waits()
        while not ready.times:
            if time.monotonic() > until:
                raise TimeoutError("the API did not get ready")
            time.sleep(0.1)
            ask(port, "GET", "/ready", key, ready)
        yield port, health_port, process
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        print(f"  stopped in {time.monotonic() - started:.1f} s, log {log.stat().st_size:,} bytes", flush=True)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def measure(kind: Kind, ports: tuple[int, int], pid: int, key: str, arguments: argparse.Namespace) -> str:
    """Measures one kind of client, as a line of the table."""
    port, health_port = ports
    before = peak = resident(pid)
    own, health, collect = Waits(), Waits(), Waits()
    with Attack(port, kind, arguments.connections) as attack:
        until = time.monotonic() + arguments.seconds
        while time.monotonic() < until:
            ask(health_port, "GET", "/health", key, own)
            ask(port, "GET", "/health", key, health)
            ask(port, "POST", "/collect", key, collect)
            peak = max(peak, resident(pid))
            time.sleep(0.1)
        held, opened = attack.held(), attack.opened
        return (
            f"{kind.name:<22} {held:>6,} {opened:>8,} {before:>7.0f} {peak:>6.0f} {resident(pid):>6.0f}"
            f"  {own}  {health}  {collect}"
        )


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", help="measure only the kinds whose name contains this")
    parser.add_argument("--smoke", action="store_true", help="check that it runs, with tiny sizes")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.connections, arguments.seconds = 5, 0.5
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, arguments.connections + _SPARE_FILES + 1_024), hard))
    key, hostile_key = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    print(
        f"{'hostile clients':<22} {'held':>6} {'opened':>8} {'MB':>7} {'peak':>6} {'end':>6}"
        f"  {'own /health p50, p99':<22}  {'/health':<22}  /collect"
    )
    with hp.local.stack() as stack, tempfile.TemporaryDirectory() as folder:
        for kind in kinds(hostile_key)[: 1 if arguments.smoke else None]:
            if arguments.only and arguments.only not in kind.name:
                continue
            with api(stack.minio, key, hostile_key, Path(folder) / "api.log") as (port, health_port, process):
                print(measure(kind, (port, health_port), process.pid, key, arguments), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
