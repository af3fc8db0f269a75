"""Two schemas with one $id, references from the top of a directory, Iglu's names, directories without schemas."""

from __future__ import annotations

import json

import pytest
from schema_checks import violations_of

import holded_pipeline as hp
from holded_pipeline.schemas.references import LocalSchemas

COMMON = "http://example.com/common.json"


@pytest.fixture
def write(tmp_path):
    """`write(path, schema)`, …: the directory with these files."""

    def add(schemas, **options):
        for path, schema in schemas.items():
            file = tmp_path / "schemas" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(schema), encoding="utf-8")
        return hp.SchemaDirectory(tmp_path / "schemas", **options)

    return add


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"$id": COMMON, "type": "string"}, {"$id": COMMON, "type": "integer"}),
        ({"$id": COMMON}, {"$id": COMMON}),
        ({"$id": COMMON}, {"$id": f"{COMMON}#"}),
        ({"id": COMMON}, {"$id": COMMON}),
        ({"$id": "x.json"}, {"$id": "http://schemas.invalid/x.json"}),
    ],
)
def test_two_files_with_one_id_are_an_error_that_names_both(write, one, other):
    with pytest.raises(hp.ConfigurationError, match=r"^a\.json and b\.json both have the \$id "):
        write({"a.json": one, "b.json": other, "s.json": {}}).prepare()


def test_what_is_called_id_in_a_later_draft_is_no_id(write):
    later = {"$schema": "http://json-schema.org/draft-07/schema", "id": "Order"}
    schemas = write({"a.json": later | {"type": "string"}, "b.json": later, "s.json": {"$ref": "a.json"}})
    assert violations_of(schemas, "s", 1) == [("", "type")]


def test_a_link_to_a_file_is_the_same_schema(write, tmp_path):
    schemas = write({"a.json": {"$id": COMMON, "type": "string"}, "s.json": {"$ref": COMMON}})
    (tmp_path / "schemas" / "latest.json").symlink_to("a.json")
    for subject in ("a", "latest", "s"):
        assert violations_of(schemas, subject, 1) == [("", "type")]


def test_in_a_mapping_one_schema_may_have_two_subjects_but_two_schemas_no_id():
    same = {"a": {"$id": COMMON, "type": "string"}, "b": {"$id": COMMON, "type": "string"}}
    assert violations_of(hp.SchemaMapping(same), "b", 1) == [("", "type")]
    for source in (hp.SchemaMapping, LocalSchemas):
        with pytest.raises(hp.ConfigurationError, match=r"^a and b both have the \$id http://example.com/common.json"):
            source({"a": {"$id": COMMON, "const": 1}, "b": {"$id": COMMON, "const": True}}).prepare()


def bundle(kind):
    return {"$defs": {"c": {"$id": COMMON, "type": kind}}, "properties": {"v": {"$ref": COMMON}}}


def test_a_schema_refers_to_the_one_inside_it_rather_than_to_a_file(write):
    schemas = write(
        {"a.json": bundle("string"), "b.json": bundle("integer"), "c.json": {"$id": COMMON, "type": "null"}}
    )
    assert violations_of(schemas, "a", {"v": 1}) == [("/v", "type")]
    assert violations_of(schemas, "a", {"v": "s"}) == []
    assert violations_of(schemas, "b", {"v": 1}) == []


def test_a_reference_to_an_id_that_is_inside_two_files_names_both(write):
    schemas = write({"a.json": bundle("string"), "b.json": bundle("integer"), "s.json": {"$ref": COMMON}})
    with pytest.raises(hp.ConfigurationError, match=r"the \$id of different schemas in a\.json and b\.json"):
        violations_of(schemas, "s", "x")


def test_equal_copies_inside_files_are_one_schema(write):
    schemas = write({"a.json": bundle("string"), "b.json": bundle("string"), "s.json": {"$ref": COMMON}})
    assert violations_of(schemas, "s", 1) == [("", "type")]


def test_two_schemas_with_one_id_are_never_compiled_together(write):
    schemas = write(
        {"a.json": bundle("string"), "b.json": bundle("integer"), "s.json": {"items": [{"$ref": "a.json"}]}}
    )
    both = write({"s.json": {"properties": {"a": {"$ref": "a.json"}, "b": {"$ref": "b.json"}}}})
    assert schemas.path == both.path
    with pytest.raises(
        hp.ConfigurationError, match=r"a\.json and .*b\.json, which have different schemas with the \$id"
    ):
        violations_of(both, "s", {})


def test_two_schemas_with_one_id_inside_schemas_of_a_registry_are_an_error(registry):
    registry.add("a", bundle("string"))
    registry.add("b", bundle("integer"))
    both = {"properties": {"a": {"$ref": "a"}, "b": {"$ref": "b"}}}
    registry.add("s", both, references=[{"name": name, "subject": name, "version": 1} for name in "ab"])
    with pytest.raises(
        hp.ConfigurationError, match=r"the schema 's' refers to .*a and .*b, which have different schemas"
    ):
        violations_of(hp.SchemaRegistry(registry.url), "s", {})
    assert violations_of(hp.SchemaRegistry(registry.url), "a", {"v": 1}) == [("/v", "type")]


def test_one_target_may_be_two_files_for_two_referrers(write):
    """Both references are http://schemas.invalid/x/common/money.json as URIs."""
    schemas = write(
        {
            "common/money.json": {"$id": "common/money.json", "type": "string"},
            "x/common/money.json": {"type": "integer"},
            "x/by_id.json": {"$ref": "common/money.json"},
            "x/y/by_path.json": {"$ref": "../common/money.json"},
            "s.json": {"properties": {"a": {"$ref": "x/by_id.json"}, "b": {"$ref": "x/y/by_path.json"}}},
        }
    )
    assert violations_of(schemas, "s", {"a": "s", "b": 1}) == []
    assert sorted(violations_of(schemas, "s", {"a": 1, "b": "s"})) == [("/a", "type"), ("/b", "type")]


FROM_THE_TOP = {
    "common/user.schema.json": {"$id": "common/user.schema.json", "properties": {"o": {"$ref": "common/org.json"}}},
    "common/org.json": {"$id": "common/org.json", "type": "integer"},
    "order/created.schema.json": {
        "$schema": "http://json-schema.org/draft-07/schema",
        "$id": "order$created",
        "properties": {"user": {"$ref": "common/user.schema.json"}, "n": {"$ref": "common/org.json#"}},
    },
}


@pytest.mark.parametrize("with_ids", [True, False], ids=["with ids", "without ids"])
def test_ids_and_references_from_the_top_of_the_directory(write, with_ids):
    schemas = FROM_THE_TOP
    if not with_ids:
        schemas = {
            path: {name: value for name, value in schema.items() if name != "$id"} for path, schema in schemas.items()
        }
    source = write(schemas)
    assert violations_of(source, "order/created", {"user": {"o": 1}, "n": 1}) == []
    wrong = sorted(violations_of(source, "order/created", {"user": {"o": "x"}, "n": "x"}))
    assert wrong == [("/n", "type"), ("/user/o", "type")]
    assert violations_of(source, "common/user", {"o": "x"}) == [("/o", "type")]


def kinds(*paths):
    """Schemas at these paths, each of which is valid for its own path alone."""
    return {path: {"const": path} for path in paths}


def test_a_reference_is_an_id_then_relative_then_from_the_top(write):
    written = "common/money.json"
    schemas = {"x/s.json": {"$ref": written}} | kinds(written)
    assert violations_of(write(schemas), "x/s", written) == []
    relative = f"x/{written}"
    assert violations_of(write(schemas | kinds(relative)), "x/s", relative) == []
    by_id = {"elsewhere.json": {"$id": written, "const": "by id"}}
    assert violations_of(write(schemas | by_id), "x/s", "by id") == []


def test_of_several_ids_as_written_the_relative_one_counts(write):
    schemas = {f"{folder}/{name}.json": {"$id": "item.json", "const": folder} for folder in "ab" for name in ("item",)}
    schemas |= {f"{folder}/s.json": {"$ref": "item.json"} for folder in "abc"}
    source = write(schemas)
    assert violations_of(source, "a/s", "a") == []
    assert violations_of(source, "b/s", "b") == []
    with pytest.raises(hp.ConfigurationError, match=r"different schemas in a/item\.json and b/item\.json"):
        violations_of(source, "c/s", "a")


def test_a_file_whose_name_begins_with_dots_is_inside_the_directory(write):
    assert violations_of(write({"s.json": {"$ref": "..a.json"}, "..a.json": {"type": "null"}}), "s", None) == []


IGLU = {
    "com.acme/order/jsonschema/1-0-2": {"const": "1-0-2"},
    "com.acme/order/jsonschema/1-0-10": {"const": "1-0-10"},
    "com.acme/line/jsonschema/1-0-0": {"$ref": "iglu:com.acme/order/jsonschema/1-0-2#"},
    "com.acme/cart/jsonschema/1-0-0.json": {"$ref": "../../order/jsonschema/1-0-2"},
    "com.acme/order/avro/1-0-0": {"not": "JSON Schema"},
    "README.json": {"type": "strin"},
}


@pytest.mark.parametrize(
    ("subject", "good"),
    [
        ("com.acme/order/jsonschema/1-0-2", "1-0-2"),
        ("iglu:com.acme/order/jsonschema/1-0-10", "1-0-10"),
        ("com.acme/order", "1-0-10"),
        ("iglu:com.acme/order", "1-0-10"),
        ("com.acme/line", "1-0-2"),
        ("com.acme/cart/jsonschema/1-0-0", "1-0-2"),
    ],
)
def test_files_may_be_named_as_in_an_iglu_registry(write, subject, good):
    source = write(IGLU, layout="iglu")
    assert violations_of(source, subject, good) == []
    assert violations_of(source, subject, "x") == [("", "const")]


def test_folders_above_an_iglu_registrys_schemas_are_not_part_of_subjects(write):
    source = write({f"registry/schemas/{path}": schema for path, schema in IGLU.items()}, layout="iglu")
    assert violations_of(source, "com.acme/order", "1-0-10") == []
    assert violations_of(source, "com.acme/line/jsonschema/1-0-0", "1-0-2") == []
    assert violations_of(source, "com.acme/cart", "1-0-2") == []


def test_only_json_schemas_of_an_iglu_registry_are_subjects(write):
    resolver = write(IGLU, layout="iglu").open()
    for subject in ("README", "com.acme/order/avro/1-0-0", "com.acme/order/jsonschema/1-0-3", "com.acme"):
        with pytest.raises(hp.RejectRecord) as error:
            resolver.resolve(subject, None)
        assert error.value.reason == "unknown_subject"


def test_an_unknown_layout_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="layout"):
        hp.SchemaDirectory(tmp_path, layout="avro")


@pytest.mark.parametrize(
    ("file", "layout", "advice"),
    [
        (None, "path", "no file that ends in .json.*; check the path$"),
        ("order.yaml", "path", "check the path, and the names of its files, such as order.yaml"),
        ("com.acme/order/jsonschema/1-0-0", "path", 'so give layout="iglu"'),
        ("order.json", "iglu", "no file named vendor/name/jsonschema/1-0-0.* such as order.json"),
    ],
)
def test_a_directory_without_schemas_is_an_error_where_the_pipeline_is_built(write, tmp_path, file, layout, advice):
    (tmp_path / "schemas").mkdir()
    source = write({file: {}} if file else {}, layout=layout)
    for read in (source.prepare, source.open):
        with pytest.raises(hp.ConfigurationError, match=f"every event would be rejected; .*{advice}|{advice}"):
            read()
