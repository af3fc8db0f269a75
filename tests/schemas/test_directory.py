"""SchemaDirectory: subjects by path, references by $id and by path, and nothing outside."""

from __future__ import annotations

import json

import pytest

import holded_pipeline as hp
from holded_pipeline.schemas.compiled import CompiledSchema


@pytest.fixture
def folder(tmp_path):
    def add(path, schema):
        file = tmp_path / "schemas" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(schema if isinstance(schema, str) else json.dumps(schema), encoding="utf-8")
        return hp.SchemaDirectory(tmp_path / "schemas")

    return add


def violations(schemas, subject, document):
    found = CompiledSchema(schemas.open().resolve(subject, None)).check(document)
    return [(violation.pointer, violation.keyword) for violation in found]


@pytest.mark.parametrize("name", ["sales/order.schema.json", "sales/order.json"])
def test_a_subject_is_the_path_without_its_ending(folder, name):
    schemas = folder(name, {"type": "object"})
    assert violations(schemas, "sales/order", []) == [("", "type")]


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
    assert violations(schemas, "order", {"a": 1}) == [("/a", "type")]
    assert violations(schemas, "order", {"a": "1"}) == []


def test_a_reference_resolves_by_path_from_its_own_file(folder):
    folder("common/money.schema.json", {"$defs": {"cents": {"type": "integer"}}})
    schemas = folder("sales/order.json", {"properties": {"a": {"$ref": "../common/money.schema.json#/$defs/cents"}}})
    assert violations(schemas, "sales/order", {"a": "x"}) == [("/a", "type")]


def test_a_reference_may_leave_out_the_ending(folder):
    folder("common/money.schema.json", {"type": "integer"})
    schemas = folder("order.json", {"properties": {"a": {"$ref": "common/money"}}})
    assert violations(schemas, "order", {"a": "x"}) == [("/a", "type")]


def test_references_of_references_are_found_and_may_come_round(folder):
    folder("node.json", {"type": "object", "properties": {"next": {"$ref": "list.json"}}})
    schemas = folder("list.json", {"type": "array", "items": {"$ref": "node.json"}})
    assert violations(schemas, "list", [{"next": [{"next": 1}]}]) == [("/0/next/0/next", "type")]


def test_a_reference_outside_the_directory_is_refused(folder, tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    schemas = folder("order.json", {"$ref": "../secret.json"})
    with pytest.raises(hp.ConfigurationError, match=r"'\.\./secret\.json', which is outside its directory"):
        schemas.open().resolve("order", None)


def test_a_link_out_of_the_directory_is_refused(folder, tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    schemas = folder("order.json", {})
    (tmp_path / "schemas" / "linked.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(hp.ConfigurationError, match="link out of the schema directory"):
        schemas.prepare()


def test_a_remote_reference_is_never_fetched(folder):
    schemas = folder("order.json", {"properties": {"a": {"$ref": "http://127.0.0.1:1/money.json"}}})
    with pytest.raises(hp.ConfigurationError, match="nothing is fetched|not usable"):
        violations(schemas, "order", {"a": 1})


def test_an_unknown_subject_or_version_rejects(folder):
    resolver = folder("order.json", {}).open()
    for subject, version, reason in (("orders", None, "unknown_subject"), ("order", 2, "unknown_version")):
        with pytest.raises(hp.RejectRecord) as fault:
            resolver.resolve(subject, version)
        assert fault.value.reason == reason
    assert resolver.resolve("order", 1).ref.subject == "order"


def test_what_cannot_be_read_is_named(folder, tmp_path):
    with pytest.raises(hp.ConfigurationError, match="nowhere does not exist"):
        hp.SchemaDirectory(tmp_path / "nowhere").prepare()
    with pytest.raises(hp.ConfigurationError, match=r"broken\.json cannot be read"):
        folder("broken.json", "{").prepare()


def test_two_files_of_one_subject_are_refused(folder):
    folder("order.json", {})
    with pytest.raises(hp.ConfigurationError, match=r"order\.schema\.json.*both the schema of 'order'"):
        folder("order.schema.json", {}).prepare()


def test_the_files_are_read_where_the_pipeline_is_built(folder, tmp_path):
    prepared = folder("order.json", {"type": "object"}).prepare()
    (tmp_path / "schemas" / "order.json").unlink()
    assert violations(prepared, "order", 1) == [("", "type")]


@pytest.mark.parametrize(
    "reference", ["dirección.json", "direcci%C3%B3n.json", "la dirección.json", "la%20direcci%C3%B3n.json"]
)
@pytest.mark.parametrize("own", [{}, {"$id": "https://example.org/order.json"}], ids=["without an id", "with one"])
def test_a_reference_may_have_any_letters_escaped_or_not(folder, reference, own):
    folder("dirección.json", {"type": "string"})
    folder("la dirección.json", {"type": "string"})
    schemas = folder("order.json", {"$ref": reference} | own)
    assert violations(schemas, "order", "x") == []
    assert violations(schemas, "order", 1) == [("", "type")]


def test_a_document_met_by_path_and_by_id_keeps_its_anchors(folder):
    """The Rust validator panics, now and then, over one document under two names."""
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
        assert violations(schemas, f"sales/order{number}", {"code": "EUR", "again": "EUR", "total": 1}) == []
        assert violations(schemas, f"sales/order{number}", {"code": 978}) == [("/code", "type")]
        assert violations(schemas, f"sales/order{number}", {"again": 978}) == [("/again", "type")]


def test_a_schema_inside_another_file_is_found_by_its_id(folder):
    folder("b.json", {"$id": "https://example.org/b", "$defs": {"i": {"$id": "inner", "type": "string"}}})
    schemas = folder("a.json", {"$ref": "https://example.org/inner"})
    assert violations(schemas, "a", 1) == [("", "type")]


def test_what_only_looks_like_a_reference_is_none(folder):
    value = {"$ref": "../../elsewhere"}
    schemas = folder("a.json", {"properties": {"$ref": {"type": "string"}}, "const": value, "examples": [value]})
    assert violations(schemas, "a", value) == []


def test_drafts_may_be_mixed(folder):
    folder("seven.json", {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]})
    schemas = folder(
        "a.json",
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"x": {"$ref": "seven.json"}}},
    )
    assert violations(schemas, "a", {"x": ["s", 1]}) == []
    assert violations(schemas, "a", {"x": [1]}) == [("/x/0", "type")]


def test_a_byte_order_mark_before_a_schema_is_skipped(folder):
    schemas = folder("a.json", "\ufeff" + json.dumps({"type": "string"}))
    assert violations(schemas, "a", 1) == [("", "type")]
