"""GET /health says which dependency answers, and is itself always answered."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import httpx
import pytest

import holded_pipeline as hp
from holded_pipeline.api import Writing, create_app
from holded_pipeline.api.serving.addresses import listening_addresses
from holded_pipeline.api.serving.background import serving_in_thread
from holded_pipeline.local.ports import free_ports


@pytest.fixture
def silent_port():
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_health_names_each_dependency(api):
    client = api(schemas={"any": {}})
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (
        200, {"status": "healthy", "dependencies": {"store": "healthy", "schemas": "healthy"}},
    )  # fmt: skip
    assert client.head("/health").status_code == 200
    assert api().get("/health").json()["dependencies"] == {"store": "healthy"}


def test_an_outage_degrades_health_and_says_nothing_of_internals(api, nowhere):
    registry = hp.SchemaRegistry(f"http://127.0.0.1:{free_ports(1)[0]}")
    answer = api(lake=nowhere, schemas=registry, keys={"one": "0123456789abcdef"}).get("/health")
    assert (answer.status_code, answer.json()) == (
        200, {"status": "degraded", "dependencies": {"store": "unavailable", "schemas": "unavailable"}},
    )  # fmt: skip


def test_a_registry_that_answers_is_healthy(api):
    class Registry(threading.Thread):
        def run(self):
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.recv(4096)
                    body = b'{"error_code": 40401, "message": "no"}'
                    head = b"HTTP/1.1 404 No\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                    connection.sendall(head % len(body) + body)
                    connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        Registry(daemon=True).start()
        client = api(schemas=hp.SchemaRegistry(f"http://127.0.0.1:{server.getsockname()[1]}"))
        assert client.get("/health").json()["dependencies"]["schemas"] == "healthy"
        server.shutdown(socket.SHUT_RDWR)


def test_health_answers_within_a_liveness_check_while_the_store_is_silent(api, silent_port):
    lake = hp.MinIO(f"http://127.0.0.1:{silent_port}", bucket="b", access_key="a", secret_key="s")
    client = api(lake=lake, writing=Writing(store_seconds=8))
    began = time.monotonic()
    assert client.get("/health").json()["status"] == "degraded"
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("path", ["/health/", "/events/", "/ready/", "/metrics/"])
def test_a_slash_at_the_end_of_a_path_is_ignored(api, path):
    assert api().get(path, follow_redirects=False).status_code == 200


def test_a_package_sent_to_a_path_with_a_slash_is_stored(api, stored):
    answer = api().post("/collect/", json={"n": 1}, follow_redirects=False)
    assert (answer.status_code, len(stored.lines())) == (202, 1)


def test_a_form_is_refused_with_the_right_command(api):
    answer = api().post("/collect", content=b"{}", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 415
    assert "curl -H 'Content-Type: application/json' -d" in answer.json()["detail"]


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "localhost"])
def test_localhost_is_both_of_its_addresses(lake, address):
    if address == "[::1]" and "::1" not in listening_addresses("localhost"):
        pytest.skip("this machine has no IPv6")
    port = free_ports(1)[0]
    with serving_in_thread(create_app(lake), host="localhost", port=port), httpx.Client() as client:
        assert client.get(f"http://{address}:{port}/events").json() == {"events": [], "next_cursor": None}
