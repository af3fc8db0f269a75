"""SchemaRegistry: errors, outages, credentials and TLS, against an HTTP server that answers as real registries do."""

from __future__ import annotations

import base64
import socket

import pytest

import holded_pipeline as hp

OBJECT = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"message": "Unauthorized"}, "rejected these credentials.*401.*Unauthorized"),
        (403, {"error_code": 40301, "message": "no"}, "rejected these credentials.*403"),
        (404, "Not Found", "does not look like a schema registry"),
        (404, {"error_code": 404, "message": "HTTP 404 Not Found"}, "does not look like a schema registry"),
        (406, {"message": "HTTP 406 Not Acceptable"}, "406.*Not Acceptable"),
        (415, {"message": "HTTP 415 Unsupported Media Type"}, "415.*Unsupported"),
        (422, {"error_code": 422, "message": [{"type": "missing", "msg": "Field required"}]}, "422.*Field required"),
        (422, {"error_code": 42202, "message": "not a valid version id"}, "42202.*valid version"),
        (200, ["JSON", "AVRO"], "does not look like a schema registry.*list"),
        (200, b"<html>Welcome</html>", "does not look like a schema registry.*JSON"),
    ],
)
def test_a_permanent_error_fails_at_once_and_says_why(registry, status, body, words):
    registry.answers = [(status, body)]
    with pytest.raises(hp.ConfigurationError, match=f"{registry.url}.*{words}"):
        registry.open_client().resolve("orders-value", None)
    assert len(registry.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error_code": 50001, "message": "Error in the backend data store"}),
        (503, b"<html>upstream unavailable</html>"),
        (429, {"message": "slow down"}),
        (502, "Bad Gateway"),
        (0, None),
    ],
    ids=["500", "503", "429", "502", "closed"],
)
def test_an_outage_is_retried(registry, answer):
    registry.add("orders-value", OBJECT)
    registry.answers = [answer, answer]
    assert registry.open_client().resolve("orders-value", None).ref.id == 1
    assert len(registry.requests) == 3


def test_an_outage_past_the_deadline_fails_and_rejects_nothing(registry):
    registry.answers = [(500, {"error_code": 50002, "message": "timed out"})] * 1_000
    with pytest.raises(hp.TransientError, match=r"within 0\.6 s.*HTTP 500: timed out.*Nothing was rejected"):
        registry.open_client().resolve("orders-value", None)


def test_an_unreachable_registry_fails():
    absent = hp.SchemaRegistry("http://127.0.0.1:1", retry=hp.Retry(0.2, first_wait=0.05))
    with pytest.raises(hp.TransientError, match="schema registry http://127.0.0.1:1 did not answer"):
        absent.open().resolve("orders-value", None)


def test_basic_and_bearer_credentials_are_sent(registry):
    registry.add("s", OBJECT)
    registry.open_client(username="ann", password="pass:word").resolve("s", 1)
    registry.open_client(token=hp.Secret.of("t0ken")).resolve("s", 1)
    with_url = hp.SchemaRegistry(registry.url.replace("//", "//ann:p%40ss@"))
    assert "p%40ss" not in repr(with_url)
    with_url.open().resolve("s", 1)
    sent = [headers["Authorization"] for headers in registry.headers]
    assert sent[0] == "Basic " + base64.b64encode(b"ann:pass:word").decode()
    assert sent[1] == "Bearer t0ken"
    assert sent[2] == "Basic " + base64.b64encode(b"ann:p@ss").decode()


def test_credentials_are_sent_in_utf_8(registry):
    registry.add("s", OBJECT)
    registry.open_client(username="núria", password="contraseña-日本").resolve("s", 1)
    expected = base64.b64encode("núria:contraseña-日本".encode()).decode()
    assert registry.headers[0]["Authorization"] == f"Basic {expected}"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_handshake_that_breaks_off_is_retried(registry, certificate, broken_handshakes, reset):
    registry.add("s", True)
    registry.encrypt(certificate)
    url, broken = broken_handshakes(registry.server.server_port, reset=reset)
    schemas = hp.SchemaRegistry(url, verify=str(certificate), retry=hp.Retry(20, first_wait=0.05)).open()
    assert schemas.resolve("s", None).ref.subject == "s"
    assert len(broken) == 2


def test_https_to_a_registry_without_tls_says_so(registry):
    url = registry.url.replace("http:", "https:")
    with pytest.raises(hp.ConfigurationError, match="does not speak TLS; use http:// in url"):
        hp.SchemaRegistry(url, retry=hp.Retry(20)).open().resolve("s", None)


def test_a_certificate_is_checked_with_the_named_ca_bundle(registry, certificate):
    registry.add("s", OBJECT)
    registry.encrypt(certificate)
    trusting = registry.open_client(verify=str(certificate))
    assert trusting.resolve("s", 1).ref.id == 1
    with pytest.raises(hp.ConfigurationError, match="certificate that is not trusted; set verify="):
        registry.open_client().resolve("s", 1)


def test_a_server_that_does_not_answer_in_time_fails():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        settings = hp.SchemaRegistry(
            f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1, retry=hp.Retry(0.3, first_wait=0.05)
        )
        with pytest.raises(hp.TransientError, match="did not answer"):
            settings.open().resolve("s", None)
