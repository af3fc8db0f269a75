"""SchemaRegistry: which schema it resolves for a subject, and how long it caches it."""

from __future__ import annotations

import pytest
from schema_checks import keywords_of

import holded_pipeline as hp

OBJECT = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


def test_the_latest_version_comes_with_its_number_and_id(registry):
    registry.add("orders-value", OBJECT)
    registry.add("orders-value", {"type": "object"}, version=2)
    resolved = registry.open_client().resolve("orders-value", None)
    assert resolved.ref == hp.SchemaRef("orders-value", 2, 2)
    assert keywords_of(resolved, {}) == []


def test_a_pinned_version_is_resolved(registry):
    registry.add("orders-value", OBJECT)
    registry.add("orders-value", {"type": "object"}, version=2)
    resolved = registry.open_client().resolve("orders-value", 1)
    assert resolved.ref.version == 1
    assert keywords_of(resolved, {}) == ["required"]


@pytest.mark.parametrize("subject", ["a/b", r"Holded\Wallet\Event", "with space?x=1#y", "ñandú", "a..b", "%2F"])
def test_any_subject_can_be_requested(registry, subject):
    registry.add(subject, OBJECT)
    assert registry.open_client().resolve(subject, None).ref.subject == subject


@pytest.mark.parametrize(
    ("version", "reason"), [(None, "unknown_subject"), (3, "unknown_version")], ids=["subject", "version"]
)
def test_a_missing_subject_or_version_rejects(registry, version, reason):
    if version:
        registry.add("nope", OBJECT)
    with pytest.raises(hp.RejectRecord) as error:
        registry.open_client().resolve("nope", version)
    assert error.value.reason == reason
    assert "'nope'" in error.value.message


@pytest.mark.parametrize("subject", [".", "..", "...", "x" * 5_000])
def test_a_subject_that_no_url_can_contain_rejects_without_a_request(registry, subject):
    with pytest.raises(hp.RejectRecord, match="unknown_subject.*no registry can have the subject"):
        registry.open_client().resolve(subject, None)
    assert not registry.requests


def test_a_subject_that_the_registry_calls_invalid_rejects(registry):
    registry.answers = [(422, {"error_code": 42208, "message": "The specified subject '__GLOBAL' is not valid"})]
    with pytest.raises(hp.RejectRecord, match="unknown_subject.*is not valid"):
        registry.open_client().resolve("__GLOBAL", None)


def test_a_missing_subject_resolved_a_thousand_times_keeps_no_tracebacks(registry):
    client = registry.open_client()
    for _ in range(1_000):
        with pytest.raises(hp.RejectRecord) as error:
            client.resolve("nope", None)
    assert len(error.traceback) < 10


@pytest.mark.parametrize("kind", [None, "AVRO", "PROTOBUF"], ids=["omitted", "avro", "protobuf"])
def test_a_subject_of_another_schema_type_is_named(registry, kind):
    registry.add("orders-value", '"string"', schemaType=kind)
    with pytest.raises(hp.ConfigurationError, match=f"'orders-value'.*holds {kind or 'AVRO'}, not JSON Schema"):
        registry.open_client().resolve("orders-value", None)


def test_a_schema_that_is_not_json_is_named(registry):
    registry.add("orders-value", "{oops")
    with pytest.raises(hp.ConfigurationError, match="the schema of the subject 'orders-value'.*is not JSON"):
        registry.open_client().resolve("orders-value", None)


def test_a_pinned_version_is_requested_once_and_latest_after_its_ttl(registry):
    registry.add("orders-value", OBJECT)
    client = registry.open_client(ttl=0.0)
    for _ in range(3):
        client.resolve("orders-value", 1)
    assert len(registry.requests) == 1
    for _ in range(3):
        client.resolve("orders-value", None)
    assert len(registry.requests) == 4
    caching = registry.open_client(ttl=60)
    for _ in range(3):
        caching.resolve("orders-value", None)
    assert len(registry.requests) == 5


def test_latest_is_the_new_version_after_its_ttl(registry):
    registry.add("orders-value", OBJECT)
    client = registry.open_client(ttl=0.0)
    assert client.resolve("orders-value", None).ref.version == 1
    registry.add("orders-value", {"type": "object"}, version=2)
    assert client.resolve("orders-value", None).ref.version == 2


def test_a_missing_subject_is_requested_again_after_its_ttl(registry):
    remembering, forgetting = registry.open_client(negative_ttl=60), registry.open_client(negative_ttl=0.0)
    for client in (remembering, forgetting):
        for _ in range(3):
            with pytest.raises(hp.RejectRecord):
                client.resolve("late", None)
    assert len(registry.requests) == 1 + 3
    registry.add("late", OBJECT)
    assert forgetting.resolve("late", None).ref.id == 1


def test_the_cached_version_is_used_while_the_registry_is_down(registry):
    registry.add("orders-value", OBJECT)
    client = registry.open_client(ttl=0.0, negative_ttl=60)
    first = client.resolve("orders-value", None)
    registry.answers = [(503, "down")]
    assert client.resolve("orders-value", None) == first
    assert client.resolve("orders-value", None) == first
    assert len(registry.requests) == 2  # no request per event while it is down


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
