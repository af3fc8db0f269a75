"""SchemaDirectory: subjects by path, references by $id and by path, and nothing outside."""

from __future__ import annotations

import json

import pytest

import holded_pipeline as hp
from holded_pipeline.core.schemas import CompiledSchema


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
