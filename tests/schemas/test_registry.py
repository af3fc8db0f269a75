"""SchemaRegistry against an HTTP server with the answers that real registries give."""

from __future__ import annotations

import base64
import socket

import pytest

import holded_pipeline as hp
from holded_pipeline.schemas.compiled import CompiledSchema

OBJECT = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


def client(registry, **settings):
    defaults = {"retry": hp.Retry(deadline=0.6, first_wait=0.02, longest_wait=0.05), "timeout": 2}
    return hp.SchemaRegistry(registry.url, **(defaults | settings)).open()


def keywords(resolved, document):
    return [violation.keyword for violation in CompiledSchema(resolved).check(document)]


def test_the_latest_version_comes_with_its_number_and_id(registry):
    registry.add("orders-value", OBJECT)
    registry.add("orders-value", {"type": "object"}, version=2)
    resolved = client(registry).resolve("orders-value", None)
    assert resolved.ref == hp.SchemaRef("orders-value", 2, 2)
    assert keywords(resolved, {}) == []


def test_a_pinned_version_is_that_one(registry):
    registry.add("orders-value", OBJECT)
    registry.add("orders-value", {"type": "object"}, version=2)
    resolved = client(registry).resolve("orders-value", 1)
    assert resolved.ref.version == 1
    assert keywords(resolved, {}) == ["required"]


@pytest.mark.parametrize("subject", ["a/b", r"Holded\Wallet\Event", "with space?x=1#y", "ñandú", "a..b", "%2F"])
def test_any_subject_can_be_asked_for(registry, subject):
    registry.add(subject, OBJECT)
    assert client(registry).resolve(subject, None).ref.subject == subject


@pytest.mark.parametrize(
    ("version", "reason"), [(None, "unknown_subject"), (3, "unknown_version")], ids=["subject", "version"]
)
def test_what_the_registry_does_not_have_rejects(registry, version, reason):
    if version:
        registry.add("nope", OBJECT)
    with pytest.raises(hp.RejectRecord) as fault:
        client(registry).resolve("nope", version)
    assert fault.value.reason == reason
    assert "'nope'" in fault.value.message


@pytest.mark.parametrize("subject", [".", "..", "...", "x" * 5_000])
def test_a_subject_that_cannot_stand_in_a_url_rejects_without_asking(registry, subject):
    with pytest.raises(hp.RejectRecord, match="unknown_subject"):
        client(registry).resolve(subject, None)
    assert not registry.requests


def test_a_subject_that_the_registry_calls_invalid_rejects(registry):
    registry.answers = [(422, {"error_code": 42208, "message": "The specified subject '__GLOBAL' is not valid"})]
    with pytest.raises(hp.RejectRecord, match="unknown_subject.*is not valid"):
        client(registry).resolve("__GLOBAL", None)


def test_a_missing_subject_met_a_thousand_times_holds_no_memory(registry):
    open_client = client(registry)
    for _ in range(1_000):
        with pytest.raises(hp.RejectRecord) as fault:
            open_client.resolve("nope", None)
    assert len(fault.traceback) < 10


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"message": "Unauthorized"}, "refuses these credentials.*401.*Unauthorized"),
        (403, {"error_code": 40301, "message": "no"}, "refuses these credentials.*403"),
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
def test_an_answer_that_no_waiting_mends_fails_at_once_and_says_why(registry, status, body, words):
    registry.answers = [(status, body)]
    with pytest.raises(hp.ConfigurationError, match=f"{registry.url}.*{words}"):
        client(registry).resolve("orders-value", None)
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
    ids=["500", "503", "429", "502", "hung up"],
)
def test_an_outage_is_waited_out(registry, answer):
    registry.add("orders-value", OBJECT)
    registry.answers = [answer, answer]
    assert client(registry).resolve("orders-value", None).ref.id == 1
    assert len(registry.requests) == 3


def test_an_outage_past_the_deadline_fails_and_rejects_nothing(registry):
    registry.answers = [(500, {"error_code": 50002, "message": "timed out"})] * 1_000
    with pytest.raises(hp.TransientError, match=r"within 0\.6 s.*HTTP 500: timed out.*Nothing was rejected"):
        client(registry).resolve("orders-value", None)


def test_a_registry_that_is_not_there_fails():
    absent = hp.SchemaRegistry("http://127.0.0.1:1", retry=hp.Retry(0.2, first_wait=0.05))
    with pytest.raises(hp.TransientError, match="schema registry http://127.0.0.1:1 did not answer"):
        absent.open().resolve("orders-value", None)


@pytest.mark.parametrize("kind", [None, "AVRO", "PROTOBUF"], ids=["left out", "avro", "protobuf"])
def test_a_subject_of_another_kind_is_said_clearly(registry, kind):
    registry.add("orders-value", '"string"', schemaType=kind)
    with pytest.raises(hp.ConfigurationError, match=f"'orders-value'.*holds {kind or 'AVRO'}, not JSON Schema"):
        client(registry).resolve("orders-value", None)


def test_a_schema_that_is_no_json_is_said_clearly(registry):
    registry.add("orders-value", "{oops")
    with pytest.raises(hp.ConfigurationError, match="'orders-value'.*no readable schema"):
        client(registry).resolve("orders-value", None)


def test_references_resolve_by_name_by_own_id_and_below_the_roots_id(registry):
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
    resolved = client(registry).resolve("order", None)
    assert keywords(resolved, {"to": {"city": "x"}}) == ["minLength"]
    assert keywords(resolved, {"from": {"city": 1}}) == ["type"]
    assert keywords(resolved, {"to": {"city": "Vic"}, "from": {"city": "Olot"}}) == []


def test_references_resolve_where_nobody_has_an_id(registry):
    registry.add("city", {"type": "string"})
    registry.add(
        "order",
        {"properties": {"city": {"$ref": "common/city.json"}}},
        references=[{"name": "common/city.json", "subject": "city", "version": 1}],
    )
    assert keywords(client(registry).resolve("order", None), {"city": 1}) == ["type"]


def test_a_referenced_version_that_was_deleted_still_serves(registry):
    registry.add("city", {"type": "string"})
    registry.delete("city", 1)
    registry.add(
        "order",
        {"properties": {"city": {"$ref": "city.json"}}},
        references=[{"name": "city.json", "subject": "city", "version": 1}],
    )
    assert keywords(client(registry).resolve("order", None), {"city": 1}) == ["type"]


def test_a_reference_that_the_registry_does_not_have_is_a_wrong_setting(registry):
    registry.add("order", {"$ref": "city.json"}, references=[{"name": "city.json", "subject": "city", "version": 4}])
    with pytest.raises(hp.ConfigurationError, match="no version 4 of 'city', which a schema refers to"):
        client(registry).resolve("order", None)


def test_a_circle_of_references_ends(registry):
    circle = [{"name": "order.json", "subject": "order", "version": 1}]
    registry.add("order", {"$ref": "order.json"}, references=circle)
    with pytest.raises(hp.ConfigurationError, match="32 levels deep"):
        client(registry).resolve("order", None)


def test_a_pinned_version_is_asked_for_once_and_latest_after_its_time(registry):
    registry.add("orders-value", OBJECT)
    open_client = client(registry, ttl=0.0)
    for _ in range(3):
        open_client.resolve("orders-value", 1)
    assert len(registry.requests) == 1
    for _ in range(3):
        open_client.resolve("orders-value", None)
    assert len(registry.requests) == 4
    patient = client(registry, ttl=60)
    for _ in range(3):
        patient.resolve("orders-value", None)
    assert len(registry.requests) == 5


def test_latest_moves(registry):
    registry.add("orders-value", OBJECT)
    open_client = client(registry, ttl=0.0)
    assert open_client.resolve("orders-value", None).ref.version == 1
    registry.add("orders-value", {"type": "object"}, version=2)
    assert open_client.resolve("orders-value", None).ref.version == 2


def test_a_reference_with_an_id_and_anchors_is_one_document_by_all_its_names(registry):
    """The Rust validator panics, now and then, over one document under two names."""
    money = {"$id": "https://example.org/money", "$defs": {"code": {"$anchor": "code", "type": "string"}}}
    registry.add("money", money)
    for number in range(10):
        order = {
            "$id": f"https://example.org/orders/{number}",
            "properties": {"a": {"$ref": "money.json#code"}, "b": {"$ref": "https://example.org/money#code"}},
        }
        registry.add(f"order{number}", order, references=[{"name": "money.json", "subject": "money", "version": 1}])
        assert keywords(client(registry).resolve(f"order{number}", None), {"a": 1, "b": 2}) == ["type", "type"]


def test_a_missing_subject_is_remembered_and_asked_for_again_later(registry):
    remembering, forgetting = client(registry, negative_ttl=60), client(registry, negative_ttl=0.0)
    for open_client in (remembering, forgetting):
        for _ in range(3):
            with pytest.raises(hp.RejectRecord):
                open_client.resolve("late", None)
    assert len(registry.requests) == 1 + 3
    registry.add("late", OBJECT)
    assert forgetting.resolve("late", None).ref.id == 1


def test_an_outage_when_latest_is_due_lets_the_known_one_serve_on(registry):
    registry.add("orders-value", OBJECT)
    open_client = client(registry, ttl=0.0, negative_ttl=60)
    first = open_client.resolve("orders-value", None)
    registry.answers = [(503, "down")]
    assert open_client.resolve("orders-value", None) == first
    assert open_client.resolve("orders-value", None) == first
    assert len(registry.requests) == 2  # not asked again at once while it is down


def test_basic_and_bearer_credentials_are_sent(registry):
    registry.add("s", OBJECT)
    client(registry, username="ann", password="pass:word").resolve("s", 1)
    client(registry, token=hp.Secret.of("t0ken")).resolve("s", 1)
    with_url = hp.SchemaRegistry(registry.url.replace("//", "//ann:p%40ss@"))
    assert "p%40ss" not in repr(with_url)
    with_url.open().resolve("s", 1)
    sent = [headers["Authorization"] for headers in registry.headers]
    assert sent[0] == "Basic " + base64.b64encode(b"ann:pass:word").decode()
    assert sent[1] == "Bearer t0ken"
    assert sent[2] == "Basic " + base64.b64encode(b"ann:p@ss").decode()


def test_credentials_are_sent_in_utf_8(registry):
    registry.add("s", OBJECT)
    client(registry, username="núria", password="contraseña-日本").resolve("s", 1)
    expected = base64.b64encode("núria:contraseña-日本".encode()).decode()
    assert registry.headers[0]["Authorization"] == f"Basic {expected}"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_handshake_that_breaks_off_is_an_outage(registry, certificate, broken_handshakes, reset):
    registry.add("s", True)
    registry.encrypt(certificate)
    url, broken = broken_handshakes(registry.server.server_port, reset=reset)
    asked = hp.SchemaRegistry(url, verify=str(certificate), retry=hp.Retry(20, first_wait=0.05)).open()
    assert asked.resolve("s", None).ref.subject == "s"
    assert len(broken) == 2


def test_tls_to_a_registry_without_it_says_so(registry):
    url = registry.url.replace("http:", "https:")
    with pytest.raises(hp.ConfigurationError, match="does not speak TLS; use http:// in url"):
        hp.SchemaRegistry(url, retry=hp.Retry(20)).open().resolve("s", None)


def test_a_certificate_is_checked_with_the_authority_that_is_named(registry, certificate):
    registry.add("s", OBJECT)
    registry.encrypt(certificate)
    trusting = client(registry, verify=str(certificate))
    assert trusting.resolve("s", 1).ref.id == 1
    with pytest.raises(hp.ConfigurationError, match="certificate that is not trusted; set verify="):
        client(registry).resolve("s", 1)


def test_a_server_that_does_not_answer_in_time_is_an_outage():
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
def test_wrong_settings_are_refused_when_written(url, settings, words):
    with pytest.raises(ValueError, match=words):
        hp.SchemaRegistry(url, **settings)
