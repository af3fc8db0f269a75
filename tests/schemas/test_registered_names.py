"""SchemaRegistry: the schemas that a schema refers to, by the names it was registered with."""

from __future__ import annotations

import itertools

import pytest
from schema_checks import keywords_of, violations_of

import holded_pipeline as hp

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def violations(registry, document):
    source = hp.SchemaRegistry(registry.url, retry=hp.Retry(deadline=0.6))
    return violations_of(source, "root", document)


def references(*pairs):
    return [{"name": name, "subject": subject, "version": 1} for name, subject in pairs]


def test_two_schemas_may_use_one_name_for_different_schemas(registry):
    for turn, (order, own) in enumerate(itertools.product([1, -1], [{}, {"$id": "https://y.org/a"}])):
        registry.subjects.clear()
        registry.add("texts", TEXT)
        registry.add("numbers", NUMBER)
        registry.add("a", {**own, "properties": {"m": {"$ref": "m"}}}, references=references(("m", "numbers")))
        registry.add(
            "root",
            {"$id": "https://x.org/r", "properties": {"m": {"$ref": "m"}, "a": {"$ref": own.get("$id", "a")}}},
            references=references(("m", "texts"), (own.get("$id", "a"), "a"))[::order],
        )
        assert violations(registry, {"m": "s", "a": {"m": 1}}) == [], turn
        assert violations(registry, {"m": 1}) == [("/m", "type")]
        assert violations(registry, {"a": {"m": "s"}}) == [("/a/m", "type")]


def test_two_versions_of_a_schema_with_an_id_are_kept_apart(registry):
    for version, kind in ((1, "string"), (2, "integer")):
        money = {
            "$id": "https://x.org/money",
            "$defs": {"c": {"$id": "code", "type": kind}},
            "properties": {"a": {"$ref": "code"}, "b": {"$ref": "https://x.org/money#/$defs/c"}},
        }
        registry.add("money", money, version=version)
    both = [{"name": f"money{version}", "subject": "money", "version": version} for version in (1, 2)]
    registry.add("root", {"properties": {"x": {"$ref": "money1"}, "y": {"$ref": "money2"}}}, references=both)
    assert violations(registry, {"x": {"a": "s", "b": "s"}, "y": {"a": 1, "b": 1}}) == []
    assert violations(registry, {"x": {"a": 1}}) == [("/x/a", "type")]
    assert violations(registry, {"y": {"b": "s"}}) == [("/y/b", "type")]


def test_a_schema_registered_under_two_subjects_is_one_schema(registry):
    money = {"$id": "https://x.org/money", "$defs": {"c": {"$anchor": "c", "$id": "https://x.org/c", **TEXT}}}
    registry.add("one", money)
    registry.add("two", money)
    used = {"properties": {"x": {"$ref": "one"}, "y": {"$ref": "two#/$defs/c"}, "z": {"$ref": "https://x.org/c#c"}}}
    registry.add("root", used, references=references(("one", "one"), ("two", "two")))
    assert violations(registry, {"y": "s", "z": "s"}) == []
    assert violations(registry, {"y": 1}) == [("/y", "type")]
    assert violations(registry, {"z": 1}) == [("/z", "type")]


@pytest.mark.parametrize(
    "own", [{}, {"$id": "https://x.org/r.json"}, {"$id": "urn:holded:r"}], ids=["none", "url", "urn"]
)
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("dirección fiscal.json", "dirección fiscal.json"),
        ("dirección fiscal.json", "direcci%C3%B3n%20fiscal.json"),
        ("direcci%C3%B3n.json", "dirección.json"),
        ("Holded\\Money", "Holded\\Money"),
        ("com.holded.Money", "com.holded.Money"),
        ("m.json#/$defs/x", "m.json#/$defs/x"),
        ("m.json", "m.json#/$defs/x"),
        ("https://z.org/m.json#/$defs/x", "https://z.org/m.json#/$defs/x"),
        ("urn:holded:money", "urn:holded:money"),
    ],
)
def test_a_name_may_have_any_letters_and_a_fragment(registry, own, name, written):
    registry.add("money", {"$defs": {"x": TEXT}, **TEXT})
    registry.add("root", {**own, "properties": {"x": {"$ref": written}}}, references=references((name, "money")))
    assert violations(registry, {"x": "s"}) == []
    assert violations(registry, {"x": 1}) == [("/x", "type")]


@pytest.mark.parametrize("inner", ["https://y.org/inner.json", "deep/inner.json"])
def test_a_name_is_found_inside_a_subschema_with_an_id(registry, inner):
    registry.add("money", TEXT)
    part = {"$id": inner, "properties": {"m": {"$ref": "money.json"}}}
    root = {"$id": "https://x.org/r.json", "properties": {"i": part}}
    registry.add("root", root, references=references(("money.json", "money")))
    assert violations(registry, {"i": {"m": "s"}}) == []
    assert violations(registry, {"i": {"m": 1}}) == [("/i/m", "type")]


@pytest.mark.parametrize("of_money", [{}, {"$id": "sales/money.json"}, {"$id": "money.json"}])
def test_relative_ids_may_contain_a_folder(registry, of_money):
    registry.add("money", {**of_money, **TEXT})
    root = {"$id": "sales/order.json", "properties": {"m": {"$ref": "money.json"}}}
    registry.add("root", root, references=references(("money.json", "money")))
    assert violations(registry, {"m": "s"}) == []
    assert violations(registry, {"m": 1}) == [("/m", "type")]


def test_a_name_of_the_root_is_found_in_the_schemas_below_it(registry):
    registry.add("money", TEXT)
    registry.add("a", {"properties": {"m": {"$ref": "money"}}})
    root = {"properties": {"a": {"$ref": "a"}}}
    registry.add("root", root, references=references(("a", "a"), ("money", "money")))
    assert violations(registry, {"a": {"m": 1}}) == [("/a/m", "type")]


def test_a_referred_schema_without_a_draft_is_of_the_roots_draft(registry):
    registry.add("money", {"definitions": {"s": {}}, "properties": {"q": {"$ref": "#/definitions/s", **NUMBER}}})
    root = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"x": {"$ref": "money"}}}
    registry.add("root", root, references=references(("money", "money")))
    assert violations(registry, {"x": {"q": "beside a reference nothing counts"}}) == []


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
    resolved = registry.open_client().resolve("order", None)
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
    assert keywords_of(registry.open_client().resolve("order", None), {"city": 1}) == ["type"]


def test_a_referenced_version_that_was_deleted_is_still_used(registry):
    registry.add("city", {"type": "string"})
    registry.delete("city", 1)
    registry.add(
        "order",
        {"properties": {"city": {"$ref": "city.json"}}},
        references=[{"name": "city.json", "subject": "city", "version": 1}],
    )
    assert keywords_of(registry.open_client().resolve("order", None), {"city": 1}) == ["type"]


def test_a_reference_that_the_registry_does_not_have_is_an_error(registry):
    registry.add("order", {"$ref": "city.json"}, references=[{"name": "city.json", "subject": "city", "version": 4}])
    with pytest.raises(hp.ConfigurationError, match="no version 4 of 'city', to which the schema of 'order' refers"):
        registry.open_client().resolve("order", None)


def test_circular_references_are_an_error(registry):
    references = [{"name": "order.json", "subject": "order", "version": 1}]
    registry.add("order", {"$ref": "order.json"}, references=references)
    with pytest.raises(hp.ConfigurationError, match="32 levels deep"):
        registry.open_client().resolve("order", None)


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
        assert keywords_of(registry.open_client().resolve(f"order{number}", None), {"a": 1, "b": 2}) == ["type", "type"]
