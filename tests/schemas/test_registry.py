"""SchemaRegistry against an HTTP server that answers as real registries do."""

from __future__ import annotations

import base64
import socket

import pytest
from schema_checks import keywords_of

import holded_pipeline as hp

OBJECT = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


def open_client(registry, **settings):
    defaults = {"retry": hp.Retry(deadline=0.6, first_wait=0.02, longest_wait=0.05), "timeout": 2}
    return hp.SchemaRegistry(registry.url, **(defaults | settings)).open()


def test_the_latest_version_comes_with_its_number_and_id(registry):
    registry.add("orders-value", OBJECT)
    registry.add("orders-value", {"type": "object"}, version=2)
    resolved = open_client(registry).resolve("orders-value", None)
    assert resolved.ref == hp.SchemaRef("orders-value", 2, 2)
    assert keywords_of(resolved, {}) == []


def test_a_pinned_version_is_resolved(registry):
    registry.add("orders-value", OBJECT)
    registry.add("orders-value", {"type": "object"}, version=2)
    resolved = open_client(registry).resolve("orders-value", 1)
    assert resolved.ref.version == 1
    assert keywords_of(resolved, {}) == ["required"]


@pytest.mark.parametrize("subject", ["a/b", r"Holded\Wallet\Event", "with space?x=1#y", "ñandú", "a..b", "%2F"])
def test_any_subject_can_be_requested(registry, subject):
    registry.add(subject, OBJECT)
    assert open_client(registry).resolve(subject, None).ref.subject == subject


@pytest.mark.parametrize(
    ("version", "reason"), [(None, "unknown_subject"), (3, "unknown_version")], ids=["subject", "version"]
)
def test_a_missing_subject_or_version_rejects(registry, version, reason):
    if version:
        registry.add("nope", OBJECT)
    with pytest.raises(hp.RejectRecord) as error:
        open_client(registry).resolve("nope", version)
    assert error.value.reason == reason
    assert "'nope'" in error.value.message


@pytest.mark.parametrize("subject", [".", "..", "...", "x" * 5_000])
def test_a_subject_that_no_url_can_contain_rejects_without_a_request(registry, subject):
    with pytest.raises(hp.RejectRecord, match="unknown_subject.*no registry can have the subject"):
        open_client(registry).resolve(subject, None)
    assert not registry.requests


def test_a_subject_that_the_registry_calls_invalid_rejects(registry):
    registry.answers = [(422, {"error_code": 42208, "message": "The specified subject '__GLOBAL' is not valid"})]
    with pytest.raises(hp.RejectRecord, match="unknown_subject.*is not valid"):
        open_client(registry).resolve("__GLOBAL", None)


def test_a_missing_subject_resolved_a_thousand_times_keeps_no_tracebacks(registry):
    client = open_client(registry)
    for _ in range(1_000):
        with pytest.raises(hp.RejectRecord) as error:
            client.resolve("nope", None)
    assert len(error.traceback) < 10


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
        open_client(registry).resolve("orders-value", None)
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
    assert open_client(registry).resolve("orders-value", None).ref.id == 1
    assert len(registry.requests) == 3


def test_an_outage_past_the_deadline_fails_and_rejects_nothing(registry):
    registry.answers = [(500, {"error_code": 50002, "message": "timed out"})] * 1_000
    with pytest.raises(hp.TransientError, match=r"within 0\.6 s.*HTTP 500: timed out.*Nothing was rejected"):
        open_client(registry).resolve("orders-value", None)


def test_an_unreachable_registry_fails():
    absent = hp.SchemaRegistry("http://127.0.0.1:1", retry=hp.Retry(0.2, first_wait=0.05))
    with pytest.raises(hp.TransientError, match="schema registry http://127.0.0.1:1 did not answer"):
        absent.open().resolve("orders-value", None)


@pytest.mark.parametrize("kind", [None, "AVRO", "PROTOBUF"], ids=["omitted", "avro", "protobuf"])
def test_a_subject_of_another_schema_type_is_named(registry, kind):
    registry.add("orders-value", '"string"', schemaType=kind)
    with pytest.raises(hp.ConfigurationError, match=f"'orders-value'.*holds {kind or 'AVRO'}, not JSON Schema"):
        open_client(registry).resolve("orders-value", None)


def test_a_schema_that_is_not_json_is_named(registry):
    registry.add("orders-value", "{oops")
    with pytest.raises(hp.ConfigurationError, match="the schema of the subject 'orders-value'.*is not JSON"):
        open_client(registry).resolve("orders-value", None)


def test_references_resolve_by_name_by_id_and_relative_to_the_roots_id(registry):
    registry.add("city", {"$id": "https://ex.org/types/city.json", "type": "string", "minLength": 2})
    registry.add(
        "address",
        {"type": "object", "properties": {"city": {"$ref": "https://ex.org/types/city.json"}}},
        references=[{"name": "city.json", "subject": "city", "version": 1}],
    )
    registry.add(
        "order",
        {
            "$id": "https://ex.org/order.json",
            "type": "object",
            "properties": {"to": {"$ref": "address.json"}, "from": {"$ref": "https://ex.org/address.json"}},
        },
        references=[{"name": "address.json", "subject": "address", "version": 1}],
    )
    resolved = open_client(registry).resolve("order", None)
    assert keywords_of(resolved, {"to": {"city": "x"}}) == ["minLength"]
    assert keywords_of(resolved, {"from": {"city": 1}}) == ["type"]
    assert keywords_of(resolved, {"to": {"city": "Vic"}, "from": {"city": "Olot"}}) == []


def test_references_resolve_between_schemas_without_ids(registry):
    registry.add("city", {"type": "string"})
    registry.add(
        "order",
        {"properties": {"city": {"$ref": "common/city.json"}}},
        references=[{"name": "common/city.json", "subject": "city", "version": 1}],
    )
    assert keywords_of(open_client(registry).resolve("order", None), {"city": 1}) == ["type"]


def test_a_referenced_version_that_was_deleted_is_still_used(registry):
    registry.add("city", {"type": "string"})
    registry.delete("city", 1)
    registry.add(
        "order",
        {"properties": {"city": {"$ref": "city.json"}}},
        references=[{"name": "city.json", "subject": "city", "version": 1}],
    )
    assert keywords_of(open_client(registry).resolve("order", None), {"city": 1}) == ["type"]


def test_a_reference_that_the_registry_does_not_have_is_an_error(registry):
    registry.add("order", {"$ref": "city.json"}, references=[{"name": "city.json", "subject": "city", "version": 4}])
    with pytest.raises(hp.ConfigurationError, match="no version 4 of 'city', to which the schema of 'order' refers"):
        open_client(registry).resolve("order", None)


def test_circular_references_are_an_error(registry):
    references = [{"name": "order.json", "subject": "order", "version": 1}]
    registry.add("order", {"$ref": "order.json"}, references=references)
    with pytest.raises(hp.ConfigurationError, match="32 levels deep"):
        open_client(registry).resolve("order", None)


def test_a_pinned_version_is_requested_once_and_latest_after_its_ttl(registry):
    registry.add("orders-value", OBJECT)
    client = open_client(registry, ttl=0.0)
    for _ in range(3):
        client.resolve("orders-value", 1)
    assert len(registry.requests) == 1
    for _ in range(3):
        client.resolve("orders-value", None)
    assert len(registry.requests) == 4
    caching = open_client(registry, ttl=60)
    for _ in range(3):
        caching.resolve("orders-value", None)
    assert len(registry.requests) == 5


def test_latest_is_the_new_version_after_its_ttl(registry):
    registry.add("orders-value", OBJECT)
    client = open_client(registry, ttl=0.0)
    assert client.resolve("orders-value", None).ref.version == 1
    registry.add("orders-value", {"type": "object"}, version=2)
    assert client.resolve("orders-value", None).ref.version == 2


def test_a_reference_with_an_id_and_anchors_is_found_by_name_and_by_id(registry):
    """The Rust validator sometimes panics over one document with two URIs."""
    money = {"$id": "https://example.org/money", "$defs": {"code": {"$anchor": "code", "type": "string"}}}
    registry.add("money", money)
    for number in range(10):
        order = {
            "$id": f"https://example.org/orders/{number}",
            "properties": {"a": {"$ref": "money.json#code"}, "b": {"$ref": "https://example.org/money#code"}},
        }
        registry.add(f"order{number}", order, references=[{"name": "money.json", "subject": "money", "version": 1}])
        assert keywords_of(open_client(registry).resolve(f"order{number}", None), {"a": 1, "b": 2}) == ["type", "type"]


def test_a_missing_subject_is_requested_again_after_its_ttl(registry):
    remembering, forgetting = open_client(registry, negative_ttl=60), open_client(registry, negative_ttl=0.0)
    for client in (remembering, forgetting):
        for _ in range(3):
            with pytest.raises(hp.RejectRecord):
                client.resolve("late", None)
    assert len(registry.requests) == 1 + 3
    registry.add("late", OBJECT)
    assert forgetting.resolve("late", None).ref.id == 1


def test_the_cached_version_is_used_while_the_registry_is_down(registry):
    registry.add("orders-value", OBJECT)
    client = open_client(registry, ttl=0.0, negative_ttl=60)
    first = client.resolve("orders-value", None)
    registry.answers = [(503, "down")]
    assert client.resolve("orders-value", None) == first
    assert client.resolve("orders-value", None) == first
    assert len(registry.requests) == 2  # no request per event while it is down


def test_basic_and_bearer_credentials_are_sent(registry):
    registry.add("s", OBJECT)
    open_client(registry, username="ann", password="pass:word").resolve("s", 1)
    open_client(registry, token=hp.Secret.of("t0ken")).resolve("s", 1)
    with_url = hp.SchemaRegistry(registry.url.replace("//", "//ann:p%40ss@"))
    assert "p%40ss" not in repr(with_url)
    with_url.open().resolve("s", 1)
    sent = [headers["Authorization"] for headers in registry.headers]
    assert sent[0] == "Basic " + base64.b64encode(b"ann:pass:word").decode()
    assert sent[1] == "Bearer t0ken"
    assert sent[2] == "Basic " + base64.b64encode(b"ann:p@ss").decode()


def test_credentials_are_sent_in_utf_8(registry):
    registry.add("s", OBJECT)
    open_client(registry, username="núria", password="contraseña-日本").resolve("s", 1)
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
    trusting = open_client(registry, verify=str(certificate))
    assert trusting.resolve("s", 1).ref.id == 1
    with pytest.raises(hp.ConfigurationError, match="certificate that is not trusted; set verify="):
        open_client(registry).resolve("s", 1)


def test_a_server_that_does_not_answer_in_time_fails():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        settings = hp.SchemaRegistry(
            f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1, retry=hp.Retry(0.3, first_wait=0.05)
        )
        with pytest.raises(hp.TransientError, match="did not answer"):
            settings.open().resolve("s", None)


@pytest.mark.parametrize(
    ("url", "settings", "words"),
    [
        ("localhost:8081", {}, "http://localhost:8081"),
        ("http://a:b@host", {"username": "a"}, "give them once"),
        ("http://host", {"username": "a", "token": "t"}, "not both"),
    ],
)
def test_wrong_settings_raise_in_the_constructor(url, settings, words):
    with pytest.raises(ValueError, match=words):
        hp.SchemaRegistry(url, **settings)
