"""Clients that send slowly or without end do not hold the server up. On real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import httpx
import pytest
import uvicorn

from holded_pipeline.api import Limits, create_app, serving
from holded_pipeline.local.ports import free_ports


@pytest.fixture
def port(nowhere, monkeypatch):
    monkeypatch.setattr(serving, "_HEADER_SECONDS", 0.5)
    app = create_app(nowhere, limits=Limits(body_seconds=0.5))
    port = free_ports(1)[0]
    server = uvicorn.Server(uvicorn.Config(app, port=port, http=serving.BoundedHeaders, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/health")
            break
    yield port
    server.should_exit = True
    thread.join(30)


def said_at_the_end(connection):
    """What the server says before it closes the connection."""
    connection.settimeout(20)
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1 << 16):
            said += data
    return said


def drip(connection, seconds):
    """Bytes that keep a connection from being idle."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        connection.sendall(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize("beginning", [b"", b"POST /collect HTTP/1.1\r\nHost: a\r\n"])
def test_headers_that_do_not_come_end_the_connection(port, beginning):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(beginning)
        assert said_at_the_end(connection) == b""


def test_a_second_request_has_to_come_in_time_too(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in connection.recv(1 << 16)
        connection.sendall(b"GET /health HT")
        assert b"200 OK" not in said_at_the_end(connection)


def test_headers_without_end_are_cut_off(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /health HTTP/1.1\r\nX-Long: " + b"x" * 5_000_000)
        assert b"200 OK" not in said_at_the_end(connection)


def test_a_body_that_does_not_come_is_answered_with_408(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /collect HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        said = said_at_the_end(connection)
    assert b"408" in said.split(b"\r\n")[0]
    assert b'"code": "too_slow"' in said


def test_the_rest_of_a_body_that_is_answered_already_is_not_waited_for_either(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        assert b"200 OK" in connection.recv(1 << 16)
        with pytest.raises(ConnectionError):
            drip(connection, 20)


def test_a_connection_serves_on_when_the_rest_of_a_body_has_come(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        assert b"200 OK" in connection.recv(1 << 16)
        connection.sendall(b"x" * 10 + b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in said_at_the_end(connection)


def test_a_client_that_goes_away_is_no_fault(port, caplog):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /collect HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
    until = time.monotonic() + 20
    counted = 'holded_api_requests_total{method="POST",route="/collect",status="499"} 1.0'
    while counted not in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "fault" not in caplog.text
