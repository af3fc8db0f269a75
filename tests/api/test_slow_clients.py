"""Clients that send slowly or without end do not block the server. On real sockets, with the settings of `serve`."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import httpx
import pytest
import uvicorn

from holded_pipeline.api import Limits, create_app
from holded_pipeline.api.serving import connections
from holded_pipeline.api.serving.server import ApiServer, uvicorn_settings
from holded_pipeline.local.ports import free_ports


@pytest.fixture
def port(nowhere, monkeypatch):
    monkeypatch.setattr(connections, "_HEADER_SECONDS", 0.5)
    app = create_app(nowhere, limits=Limits(body_seconds=0.5, body_bytes=1 << 20))
    port = free_ports(1)[0]
    server = ApiServer(uvicorn.Config(**uvicorn_settings(app, port=port, log_level="critical")))
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


def read_until_closed(connection):
    """What the server sends before it closes the connection."""
    connection.settimeout(20)
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1 << 16):
            received += data
    return received


def drip(connection, seconds):
    """Sends a byte now and then, so that the connection is never idle."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        connection.sendall(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize("beginning", [b"", b"POST /collect HTTP/1.1\r\nHost: a\r\n"])
def test_a_connection_without_headers_is_closed(port, beginning):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(beginning)
        assert read_until_closed(connection) == b""


def test_slow_headers_of_a_second_request_close_the_connection(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in connection.recv(1 << 16)
        connection.sendall(b"GET /health HT")
        assert b"200 OK" not in read_until_closed(connection)


def test_endless_headers_close_the_connection_before_the_deadline(port, monkeypatch):
    monkeypatch.setattr(connections, "_HEADER_SECONDS", 60)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /health HTTP/1.1\r\nX-Long: " + b"x" * 5_000_000)
        assert b"200 OK" not in read_until_closed(connection)


def test_a_slow_body_is_answered_with_408(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /collect HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        answer = read_until_closed(connection)
    assert b"408" in answer.split(b"\r\n")[0]
    assert b'"code": "too_slow"' in answer


def test_a_slow_rest_of_an_answered_body_closes_the_connection(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        assert b"200 OK" in connection.recv(1 << 16)
        with pytest.raises(ConnectionError):
            drip(connection, 20)


HEALTH_BODY = b'{"status":"degraded","dependencies":{"store":"unavailable"}}'


def health(connection):
    """A whole answer, which may come in several chunks."""
    answer = b""
    while HEALTH_BODY not in answer:
        chunk = connection.recv(1 << 16)
        assert chunk, answer
        answer += chunk
    return answer


def test_an_idle_connection_is_kept_beyond_the_deadline_for_headers(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200 OK" in health(connection)
            time.sleep(1)


def test_requests_sent_without_waiting_are_all_answered(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        answers = b""
        while answers.count(HEALTH_BODY) < 3:
            chunk = connection.recv(1 << 16)
            assert chunk, answers
            answers += chunk


def test_the_rest_of_an_answered_body_keeps_the_connection(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        assert b"200 OK" in health(connection)
        connection.sendall(b"x" * 10 + b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in health(connection)


def test_bodies_sent_without_waiting_are_all_read(port):
    body = b"[" + b" " * 900_000 + b"]"
    request = b"POST /collect HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        thread = threading.Thread(
            target=connection.sendall, args=((request + b"Content-Length: %d\r\n\r\n" % len(body) + body) * 3,)
        )
        thread.start()
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 3:
            chunk = connection.recv(1 << 16)
            assert chunk, answers
            answers += chunk
        thread.join(20)
    assert answers.count(b"HTTP/1.1 202 ") == 3, answers


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: 12000000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"x" * (1 << 16) + b"\r\n") * 16 + b"1\r\nx\r\n",
    ],
    ids=["length", "chunks"],
)
def test_a_body_that_is_too_large_gets_its_answer(port, sent):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /collect HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + sent)
        assert b" 413 " in connection.recv(1 << 16)


def test_endless_headers_behind_a_request_in_progress_close_the_connection(port, monkeypatch):
    monkeypatch.setattr(connections, "_HEADER_SECONDS", 60)
    with socket.create_connection(("127.0.0.1", port)) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nX: " + b"x" * 50_000_000)


HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEALTH + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", b"400"),
        (HEALTH + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", b"400"),
        (HEALTH + b"X: a\x01b\r\n\r\n", b"400"),
        (HEALTH.replace(b"\r\n", b"\n") + b"\n", b"400"),
        (b"GET http://a/health HTTP/1.1\r\nHost: a\r\n\r\n", b"200"),
        (b"\r\n" + HEALTH + b"\r\n", b"200"),
    ],
    ids=[
        "length and chunks",
        "two lengths",
        "control character",
        "bare line feeds",
        "absolute URL",
        "empty line first",
    ],
)
def test_requests_are_read_strictly_where_a_proxy_may_read_them_otherwise(port, sent, status):
    """RFC 9112: 2.2 and 3.2.2 say what is accepted, 6.1 and 6.3 what must not pass, since it smuggles requests."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        first = connection.recv(1 << 16)
        assert first.split(b" ", 2)[1] == status
        if status == b"400":
            assert b"200 OK" not in first + read_until_closed(connection)


def test_a_client_that_disconnects_is_not_logged_as_an_error(port, caplog):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /collect HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
    until = time.monotonic() + 20
    counted = 'holded_api_requests_total{method="POST",route="/collect",status="499"} 1.0'
    while counted not in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
