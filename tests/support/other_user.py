"""What another user of the machine gets: code that runs as one, and raw questions to every socket of a process."""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

OTHER_USER = 12_345
SECONDS = 2.0
SETTINGS = b"\x04\0\0\0\0\0"
"""How the first frame of HTTP/2 goes on after its length: the server would speak gRPC."""
Address = tuple[str, int] | str
"""A TCP port, or the path of a Unix socket."""


def as_other_user(function: Callable[[], Any]) -> Any:
    """What a function returns in a child process that is another user; where that needs root, in this process."""
    if os.geteuid() != 0:
        return function()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(OTHER_USER, OTHER_USER, OTHER_USER)
            os.setresuid(OTHER_USER, OTHER_USER, OTHER_USER)
            with os.fdopen(writer, "w") as answer:
                json.dump(function(), answer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    assert text, "the other user's process ended by an error"
    return json.loads(text)


def listening(folder: Path) -> list[Address]:
    """Every address at which a process over this folder listens, and every Unix socket that it has a name for."""
    found: set[Address] = set()
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or not any(str(folder) in each for each in process.cmdline()):
                continue
            for each in [process, *process.children(recursive=True)]:
                for connection in each.net_connections("all"):
                    if connection.status == psutil.CONN_LISTEN:
                        found.add((connection.laddr.ip, connection.laddr.port))
                    elif connection.family == socket.AF_UNIX and connection.laddr:
                        found.add(connection.laddr)
        except psutil.NoSuchProcess:
            continue
    return sorted(found, key=str)


def ask(address: Address, question: bytes, tls: ssl.SSLContext | None = None) -> str:
    """The first bytes that come back, as Latin-1 text; an error's name where there is no connection."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as raw:
        raw.settimeout(SECONDS)
        try:
            raw.connect(address)
            connection = raw if tls is None else tls.wrap_socket(raw, server_hostname="localhost")
            connection.sendall(question)
            return _read(connection).decode("latin-1")
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _read(connection: socket.socket) -> bytes:
    got = b""
    until = time.monotonic() + SECONDS
    while len(got) < 4_096 and time.monotonic() < until:
        try:
            more = connection.recv(4_096)
        except TimeoutError:
            break
        if not more:
            break
        got += more
        if got[3:9] == SETTINGS:
            break  # it waits for requests
    return got


def reachable(paths: list[Path]) -> list[str]:
    """Those that can be read, written or listed."""
    found = []
    for path in paths:
        try:
            if path.is_dir():
                next(path.iterdir(), None)
            elif path.is_socket():
                with socket.socket(socket.AF_UNIX) as raw:
                    raw.connect(str(path))
            else:
                path.open("rb").close()
        except OSError:
            if not os.access(path, os.R_OK) and not os.access(path, os.W_OK):
                continue
        found.append(str(path))
    return found
