"""A schema registry for tests: an HTTP server that answers as a test sets it up."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from http_server import serve_http

import holded_pipeline as hp
from holded_pipeline.schemas.registry_client import RegistryClient

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


class Registry:
    """What the server answers, and the requests that it got."""

    def __init__(self) -> None:
        self.subjects: dict[tuple[str, int], dict[str, Any]] = {}
        self.deleted: set[tuple[str, int]] = set()
        self.answers: list[tuple[int, Any]] = []  # sent first, once each, for any request
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.server: Any = None

    def encrypt(self, certificate: Path) -> None:
        """Serves TLS from now on, with a file that contains a key and its certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def add(self, subject: str, schema: Any, *, version: int = 1, **more: Any) -> None:
        entry = {
            "subject": subject,
            "version": version,
            "id": len(self.subjects) + 1,
            "schemaType": "JSON",
            "schema": schema if isinstance(schema, str) else json.dumps(schema),
        }
        self.subjects[subject, version] = {name: value for name, value in (entry | more).items() if value is not None}

    def open_client(self, **settings: Any) -> RegistryClient:
        """A client that retries for less than a second."""
        defaults = {"retry": hp.Retry(deadline=0.6, first_wait=0.02, longest_wait=0.05), "timeout": 2}
        return hp.SchemaRegistry(self.url, **(defaults | settings)).open()

    def delete(self, subject: str, version: int) -> None:
        self.deleted.add((subject, version))

    def answer(self, target: str) -> tuple[int, Any]:
        if self.answers:
            return self.answers.pop(0)
        parts = urlsplit(target)
        path = parts.path.split("/")[1:]
        if len(path) != 4 or path[0] != "subjects" or path[2] != "versions":
            return 404, "Not Found"
        subject = unquote(path[1])
        with_deleted = parse_qs(parts.query).get("deleted") == ["true"]
        found = [key for key in self.subjects if key[0] == subject and (with_deleted or key not in self.deleted)]
        if not found:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        requested = max(found) if path[3] == "latest" else (subject, int(path[3]))
        if requested not in found:
            return 404, {"error_code": 40402, "message": f"Version {path[3]} not found."}
        return 200, self.subjects[requested]


@pytest.fixture
def broken_handshakes() -> Iterator[Any]:
    """`broken_handshakes(port, reset=…)`: the URL of a proxy, and a list with an item for each handshake it broke off.

    It breaks off the first two handshakes, and forwards the others to the port.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(port: int, broken: list[str], *, reset: bool) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                hello = client.recv(1 << 16)
                if len(broken) == 2:
                    threading.Thread(target=_forward_to, args=(client, port, hello), daemon=True).start()
                    continue
                broken.append("broken")
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()

    def start(port: int, *, reset: bool) -> tuple[str, list[str]]:
        broken: list[str] = []
        threading.Thread(target=serve, args=(port, broken), kwargs={"reset": reset}, daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}", broken

    yield start
    listener.close()


def _forward_to(client: socket.socket, port: int, hello: bytes) -> None:
    server = socket.create_connection(("127.0.0.1", port))
    server.sendall(hello)
    threading.Thread(target=_copy, args=(server, client), daemon=True).start()
    _copy(client, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def registry() -> Iterator[Registry]:
    state = Registry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.requests.append(self.path)
            state.headers.append(dict(self.headers))
            status, body = state.answer(self.path)
            if status == 0:  # the connection closes without an answer
                self.close_connection = True
                return
            encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else MEDIA_TYPE)
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *_: Any) -> None:
            pass

    with serve_http(Handler) as server:
        state.server = server
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
