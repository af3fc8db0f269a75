"""SchemaDirectory: subjects by path, references by $id and by path, and nothing outside."""

from __future__ import annotations

import json

import pytest
from schema_checks import violations_of

import holded_pipeline as hp


@pytest.fixture
def folder(tmp_path):
    def add(path, schema):
        file = tmp_path / "schemas" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(schema if isinstance(schema, str) else json.dumps(schema), encoding="utf-8")
        return hp.SchemaDirectory(tmp_path / "schemas")

    return add


@pytest.mark.parametrize("name", ["sales/order.schema.json", "sales/order.json"])
def test_a_subject_is_the_path_without_its_ending(folder, name):
    schemas = folder(name, {"type": "object"})
    assert violations_of(schemas, "sales/order", []) == [("", "type")]


def test_a_php_class_name_finds_its_file(folder):
    schemas = folder("Holded/Sales/Order.schema.json", {"type": "object"})
    assert schemas.open().resolve(r"Holded\Sales\Order", None).ref.subject == "Holded/Sales/Order"


def test_a_reference_resolves_by_id_before_path(folder):
    folder("common/money.json", {"type": "integer"})
    folder("elsewhere.json", {"$id": "https://ex.org/common/money.json", "type": "string"})
    schemas = folder(
        "order.json",
        {"$id": "https://ex.org/order.json", "properties": {"a": {"$ref": "common/money.json"}}},
    )
    assert violations_of(schemas, "order", {"a": 1}) == [("/a", "type")]
    assert violations_of(schemas, "order", {"a": "1"}) == []


def test_a_reference_resolves_by_path_from_its_own_file(folder):
    folder("common/money.schema.json", {"$defs": {"cents": {"type": "integer"}}})
    schemas = folder("sales/order.json", {"properties": {"a": {"$ref": "../common/money.schema.json#/$defs/cents"}}})
    assert violations_of(schemas, "sales/order", {"a": "x"}) == [("/a", "type")]


def test_a_reference_may_omit_the_ending(folder):
    folder("common/money.schema.json", {"type": "integer"})
    schemas = folder("order.json", {"properties": {"a": {"$ref": "common/money"}}})
    assert violations_of(schemas, "order", {"a": "x"}) == [("/a", "type")]


def test_references_of_references_are_found_and_may_be_circular(folder):
    folder("node.json", {"type": "object", "properties": {"next": {"$ref": "list.json"}}})
    schemas = folder("list.json", {"type": "array", "items": {"$ref": "node.json"}})
    assert violations_of(schemas, "list", [{"next": [{"next": 1}]}]) == [("/0/next/0/next", "type")]


def test_a_reference_outside_the_directory_is_an_error(folder, tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    schemas = folder("order.json", {"$ref": "../secret.json"})
    with pytest.raises(hp.ConfigurationError, match=r"'\.\./secret\.json', which is outside its directory"):
        schemas.open().resolve("order", None)


def test_a_link_out_of_the_directory_is_an_error(folder, tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    schemas = folder("order.json", {})
    (tmp_path / "schemas" / "linked.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(hp.ConfigurationError, match="link out of the schema directory"):
        schemas.prepare()


def test_a_remote_reference_is_never_fetched(folder):
    schemas = folder("order.json", {"properties": {"a": {"$ref": "http://127.0.0.1:1/money.json"}}})
    with pytest.raises(
        hp.ConfigurationError, match="no known schema has the URI http://127.0.0.1:1/money.json, and nothing is fetched"
    ):
        violations_of(schemas, "order", {"a": 1})


def test_an_unknown_subject_or_version_rejects(folder):
    resolver = folder("order.json", {}).open()
    for subject, version, reason in (("orders", None, "unknown_subject"), ("order", 2, "unknown_version")):
        with pytest.raises(hp.RejectRecord) as error:
            resolver.resolve(subject, version)
        assert error.value.reason == reason
    assert resolver.resolve("order", 1).ref.subject == "order"


def test_an_unreadable_file_or_directory_is_named(folder, tmp_path):
    with pytest.raises(hp.ConfigurationError, match="nowhere does not exist"):
        hp.SchemaDirectory(tmp_path / "nowhere").prepare()
    with pytest.raises(hp.ConfigurationError, match=r"broken\.json cannot be read"):
        folder("broken.json", "{").prepare()


def test_two_files_of_one_subject_are_an_error(folder):
    folder("order.json", {})
    with pytest.raises(hp.ConfigurationError, match=r"order\.schema\.json.*both the schema of 'order'"):
        folder("order.schema.json", {}).prepare()


def test_the_files_are_read_when_the_source_is_prepared(folder, tmp_path):
    prepared = folder("order.json", {"type": "object"}).prepare()
    (tmp_path / "schemas" / "order.json").unlink()
    assert violations_of(prepared, "order", 1) == [("", "type")]


@pytest.mark.parametrize(
    "reference", ["dirección.json", "direcci%C3%B3n.json", "la dirección.json", "la%20direcci%C3%B3n.json"]
)
@pytest.mark.parametrize("own", [{}, {"$id": "https://example.org/order.json"}], ids=["without an id", "with an id"])
def test_a_reference_may_have_any_letters_escaped_or_not(folder, reference, own):
    folder("dirección.json", {"type": "string"})
    folder("la dirección.json", {"type": "string"})
    schemas = folder("order.json", {"$ref": reference} | own)
    assert violations_of(schemas, "order", "x") == []
    assert violations_of(schemas, "order", 1) == [("", "type")]


def test_a_document_referred_to_by_path_and_by_id_keeps_its_anchors(folder):
    """The Rust validator sometimes panics over one document with two URIs."""
    folder(
        "common/money.json",
        {"$id": "https://example.org/money", "$defs": {"code": {"$anchor": "code", "type": "string"}}},
    )
    order = {
        "total": {"$ref": "../common/money.json"},
        "code": {"$ref": "https://example.org/money#code"},
        "again": {"$ref": "../common/money.json#code"},
    }
    for number in range(10):
        schemas = folder(f"sales/order{number}.json", {"properties": order})
    for number in range(10):
        assert violations_of(schemas, f"sales/order{number}", {"code": "EUR", "again": "EUR", "total": 1}) == []
        assert violations_of(schemas, f"sales/order{number}", {"code": 978}) == [("/code", "type")]
        assert violations_of(schemas, f"sales/order{number}", {"again": 978}) == [("/again", "type")]


def test_a_schema_inside_another_file_is_found_by_its_id(folder):
    folder("b.json", {"$id": "https://example.org/b", "$defs": {"i": {"$id": "inner", "type": "string"}}})
    schemas = folder("a.json", {"$ref": "https://example.org/inner"})
    assert violations_of(schemas, "a", 1) == [("", "type")]


def test_a_value_that_looks_like_a_reference_is_ignored(folder):
    value = {"$ref": "../../elsewhere"}
    schemas = folder("a.json", {"properties": {"$ref": {"type": "string"}}, "const": value, "examples": [value]})
    assert violations_of(schemas, "a", value) == []


def test_drafts_may_be_mixed(folder):
    folder("seven.json", {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]})
    schemas = folder(
        "a.json",
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"x": {"$ref": "seven.json"}}},
    )
    assert violations_of(schemas, "a", {"x": ["s", 1]}) == []
    assert violations_of(schemas, "a", {"x": [1]}) == [("/x/0", "type")]


def test_a_byte_order_mark_before_a_schema_is_skipped(folder):
    schemas = folder("a.json", "\ufeff" + json.dumps({"type": "string"}))
    assert violations_of(schemas, "a", 1) == [("", "type")]
