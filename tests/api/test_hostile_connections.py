"""Clients that hold connections, responses or memory do not keep others from being answered. On real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from holded_pipeline.api import Limits, create_app
from holded_pipeline.api.serving import tls_listener
from holded_pipeline.api.serving.server import ApiServer, listen, uvicorn_settings
from holded_pipeline.api.serving.tls import server_tls
from holded_pipeline.local.ports import free_ports
from holded_pipeline.model.errors import ConfigurationError

KEYS = {"one": "the-key-of-client-one", "two": "the-key-of-client-two"}
DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Served:
    """A server in a thread, and sockets that are closed at its end."""

    def __init__(self, app, *, limits=None, tls=None, health_port=None, proxy=None):
        self.port = free_ports(1)[0]
        config = uvicorn.Config(
            **uvicorn_settings(app, limits=limits, proxy=proxy, port=self.port, log_level="warning")
        )
        health = None if health_port is None else listen("127.0.0.1", health_port, "health_port")
        self.server = ApiServer(config, tls=tls, health_socket=health)
        sockets = None if tls is None else [listen("127.0.0.1", self.port, "port")]
        self._thread = threading.Thread(target=self.server.run, args=(sockets,))
        self._closing = contextlib.ExitStack()

    def __enter__(self):
        self._thread.start()
        until = time.monotonic() + 30
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self._closing.close()
        self.stop()

    def stop(self):
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    @property
    def held(self):
        return len(self.server.config.http.keywords["table"])

    def connect(self, sent=b"", read_buffer=None):
        connection = self._closing.enter_context(socket.socket())
        if read_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(sent)
        return connection

    def get(self, path, **settings):
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=20, **settings)

    def collect(self, key):
        return httpx.post(
            f"http://127.0.0.1:{self.port}/collect", json=[], headers={"X-API-Key": KEYS[key]}, timeout=20
        )


def wait_until(is_true):
    until = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.05)


def stalled_body(key, size, declared=1 << 20):
    head = f"POST /collect HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEYS[key]}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % declared + b" " * size


@pytest.mark.parametrize("reads", [0, 1], ids=["nothing", "a byte now and then"])
def test_a_client_that_does_not_take_its_responses_is_disconnected(nowhere, caplog, reads):
    app = create_app(nowhere, limits=Limits(stall_seconds=1, bytes_per_second=10_000))
    with Served(app) as served:
        clients = [served.connect(DOCUMENT * 30, read_buffer=2_048) for _ in range(20)]
        wait_until(lambda: served.held == 20)
        until = time.monotonic() + 20
        while served.held:
            assert time.monotonic() < until
            for client in clients if reads else ():
                with contextlib.suppress(ConnectionError):
                    client.recv(reads)
            time.sleep(0.1)
        wait_until(lambda: not served.server.server_state.tasks)
    assert "Traceback" not in caplog.text
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


def test_a_client_that_does_not_read_does_not_delay_the_stop(nowhere):
    with Served(create_app(nowhere, limits=Limits(stall_seconds=60, body_seconds=60))) as served:
        for _ in range(5):
            served.connect(DOCUMENT * 30, read_buffer=2_048)
        wait_until(lambda: served.held == 5)
        started = time.monotonic()
        served.stop()
        assert time.monotonic() - started < 15


def test_connections_of_a_full_address_are_replaced(nowhere):
    limits = Limits(connections=500, address_connections=50)
    with Served(create_app(nowhere), limits=limits) as served:
        for _ in range(100):
            served.connect(b"GET /health HTTP/1.1\r\n")  # headers without an end
            served.connect(DOCUMENT * 30, read_buffer=2_048)
        assert served.get("/health").status_code == 200
        assert served.held <= 50


def test_the_connections_of_a_trusted_proxy_are_not_counted_as_one_address(nowhere):
    with Served(create_app(nowhere), limits=Limits(address_connections=5), proxy="127.0.0.1") as served:
        for _ in range(20):
            served.connect()
        wait_until(lambda: served.held == 20)


def test_requests_beyond_the_first_few_sent_at_once_are_not_kept(nowhere):
    with Served(create_app(nowhere)) as served:
        connection = served.connect(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5_000)
        answers = b""
        while chunk := connection.recv(1 << 16):
            answers += chunk
        assert 1 <= answers.count(b"HTTP/1.1 200 OK") < 50
        assert b"400 Bad" not in answers
        assert b"connection: close" in answers


def test_health_on_its_own_port_answers_while_the_public_one_is_full(nowhere):
    health_port = free_ports(1)[0]
    app = create_app(nowhere, keys=KEYS)
    with Served(app, limits=Limits(connections=1), health_port=health_port) as served:
        served.connect()
        wait_until(lambda: served.held == 1)
        url = f"http://127.0.0.1:{health_port}"
        assert httpx.get(f"{url}/health").json()["status"] == "degraded"
        assert httpx.get(f"{url}/health/").status_code == 200
        assert httpx.get(f"{url}/metrics").status_code == 401
        assert httpx.post(f"{url}/collect", json=[], headers={"X-API-Key": KEYS["one"]}).status_code == 404


def test_one_key_gets_its_share_of_memory_and_the_others_theirs(nowhere):
    limits = Limits(memory_bytes=4 << 20, stall_seconds=60)
    with Served(create_app(nowhere, keys=KEYS, limits=limits)) as served:
        for _ in range(6):
            with contextlib.suppress(ConnectionError):  # the ones beyond the share are answered early
                served.connect(stalled_body("one", 900_000))
        memory = served.server.config.app.state.service.memory
        wait_until(lambda: memory.held > 1_500_000)
        refused = served.connect(stalled_body("one", 1 << 20)).recv(1 << 16)
        assert b" 429 " in refused
        assert b'"code": "over_share"' in refused
        assert served.collect("two").status_code == 202
        assert memory.held <= 2 << 20


def test_an_unread_page_counts_as_memory_until_it_is_taken(nowhere):
    app = create_app(nowhere, limits=Limits(memory_bytes=16 << 20))
    app.state.service.recent.add("large", b"x" * (6 << 20))
    with Served(app) as served:
        client = served.connect(b"GET /events/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        memory = app.state.service.memory
        wait_until(lambda: memory.held == 6 << 20)
        assert served.get("/events/large").status_code == 429
        received = 0
        while chunk := client.recv(1 << 20):
            received += len(chunk)
        assert received > 6 << 20
        wait_until(lambda: memory.held == 0)


def test_a_body_that_comes_too_slowly_is_answered_before_its_time_is_over(nowhere):
    app = create_app(nowhere, keys=KEYS, limits=Limits(body_seconds=60, stall_seconds=0.5, bytes_per_second=10_000))
    with Served(app) as served:
        assert b" 408 " in served.connect(stalled_body("one", 100_000)).recv(1 << 16)


def test_tls_serves_and_bounds_handshakes(nowhere, certificate, monkeypatch):
    monkeypatch.setattr(tls_listener, "_HANDSHAKE_SECONDS", 0.5)
    with Served(create_app(nowhere), limits=Limits(address_connections=10), tls=server_tls(certificate)) as served:
        for _ in range(30):
            served.connect()
        wait_until(lambda: served.held)
        assert served.held <= 10
        trusting = ssl.create_default_context(cafile=str(certificate))
        url = f"https://127.0.0.1:{served.port}"
        with httpx.Client(verify=trusting) as client:
            assert client.get(f"{url}/health").json()["status"] == "degraded"
            assert len(client.get(f"{url}/openapi.json").content) > 10_000
        wait_until(lambda: served.held == 0)  # the stalled handshakes


def test_an_idle_connection_over_tls_does_not_delay_the_stop(nowhere, certificate):
    app = create_app(nowhere, limits=Limits(stall_seconds=25.0))
    trusting = ssl.create_default_context(cafile=str(certificate))
    with Served(app, tls=server_tls(certificate)) as served, httpx.Client(verify=trusting) as idle:
        assert idle.get(f"https://127.0.0.1:{served.port}/health").status_code == 200
        began = time.monotonic()
        served.stop()
        assert time.monotonic() - began < 15


def test_tls_below_1_2_and_bytes_that_are_no_tls_are_refused(nowhere, certificate, caplog):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with Served(create_app(nowhere), tls=server_tls(certificate)) as served:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(served.connect())
        with contextlib.suppress(ConnectionError):
            assert served.connect(b"GET / HTTP/1.1\r\n\r\n").recv(100) == b""
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("certificate_text", "key_text", "message"),
    [
        (None, "key", "cannot be read: No such file"),
        ("no certificate", "key", "has no certificate in the form PEM"),
        ("good", None, "cannot be read: No such file"),
        ("good", "other", "does not belong to the certificate"),
    ],
)
def test_files_that_are_no_pair_are_named(certificate, tmp_path, certificate_text, key_text, message):
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    texts = {"good": certificate.read_bytes(), "key": certificate.read_bytes(), "other": other}
    files = [tmp_path / "server.pem", tmp_path / "server.key"]
    for file, text in zip(files, (certificate_text, key_text), strict=True):
        if text is not None:
            file.write_bytes(texts.get(text, text.encode()))
    with pytest.raises(ConfigurationError, match=message):
        server_tls(*files)
