"""A wrong schema is a ConfigurationError that names its subject, whatever is wrong with it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_checks import compile_subject, violations_of

import holded_pipeline as hp
from holded_pipeline.schemas.compiled_schema import CompiledSchema
from holded_pipeline.schemas.references import LocalSchemas

NOT_A_URI = "http://[::1"


def deep(levels):
    schema = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


WRONG = {
    "a number as $schema": {"$schema": 7},
    "a list as $schema": {"$schema": []},
    "null as $schema": {"$schema": None},
    "an object as $schema": {"$schema": {}},
    "an $id that is no URI": {"$id": NOT_A_URI},
    "an id that is no URI": {"id": NOT_A_URI},
    "an $id inside that is no URI": {"properties": {"x": {"$id": NOT_A_URI}}},
    "a $ref that is no URI": {"$ref": NOT_A_URI},
    "a $dynamicRef that is no URI": {"$dynamicRef": NOT_A_URI},
    "a $ref with half a character": {"$ref": "\ud800.json"},
    "a number as $ref": {"$ref": 7},
    "a number as $id": {"$id": 7},
    "a list as properties": {"properties": []},
    "a number as schema of a property": {"properties": {"x": 7}},
    "a pattern that is none": {"pattern": "("},
    "more levels than Python follows": deep(20_000),
    "a list": [],
    "null": None,
}


@pytest.mark.parametrize("schema", WRONG.values(), ids=WRONG)
def test_a_wrong_schema_is_named(schema):
    with pytest.raises(hp.ConfigurationError, match=r"schema of subject 's'.* is not usable: "):
        compile_subject({"s": schema}, "s")


@pytest.mark.parametrize("name", sorted(WRONG.keys() - {"a number as $id"}))  # which is ignored there
def test_a_wrong_schema_that_is_referred_to_is_named(name):
    with pytest.raises(hp.ConfigurationError, match=r"schema of subject '[rs]'.* is not usable: "):
        compile_subject({"r": {"properties": {"x": {"$ref": "s"}}}, "s": WRONG[name]}, "r")


@pytest.mark.parametrize("schema", WRONG.values(), ids=WRONG)
def test_a_wrong_schema_in_a_registry_is_named(schema, registry):
    registry.add("s", "[" * 20_000 if schema is WRONG["more levels than Python follows"] else schema)
    client = registry.open_client()
    with pytest.raises(hp.ConfigurationError, match=r"the (schema of )?(the )?subject 's'"):
        CompiledSchema(client.resolve("s", None))


@pytest.mark.parametrize(
    "references", [7, {"name": "a"}, [7], ["a"], [{"name": "a"}], [{"subject": "a", "version": 1}], [None]]
)
def test_wrong_references_in_a_registrys_answer_are_named(references, registry):
    registry.add("s", {}, references=references)
    with pytest.raises(hp.ConfigurationError, match="'s'"):
        registry.open_client().resolve("s", None)


KEYWORDS = (
    "$schema $id id $ref $anchor $dynamicRef $recursiveRef $defs properties items type enum const pattern format "
    "minimum allOf not required dependencies contentEncoding patternProperties"
)
TEXTS = ["", "#", "a", NOT_A_URI, "\ud800", "#/x", "string"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(TEXTS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS.split(" ")), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(JSON, JSON)
def test_any_json_as_a_schema_checks_or_is_an_error_in_words(root, other):
    schemas = LocalSchemas({"s": root, "a": other})
    message = ""
    try:
        CompiledSchema(schemas.open().resolve("s", None)).check({"a": 1})
    except hp.ConfigurationError as error:
        message = str(error)
    assert not message or "'s'" in message or "'a'" in message or "both have the $id" in message


def test_the_file_of_an_id_that_is_no_uri_is_named_when_the_directory_is_read(tmp_path):
    (tmp_path / "order.json").write_text(json.dumps({"$id": NOT_A_URI}))
    with pytest.raises(hp.ConfigurationError, match=r"'order' is not usable: 'http://\[::1' is not a valid URI"):
        hp.SchemaDirectory(tmp_path).prepare()


RECURSIVE = {
    "$schema": "https://json-schema.org/draft/2019-09/schema",
    "$id": "http://example.com/tree.json",
    "$recursiveAnchor": True,
    "$defs": {
        "node": {
            "$id": "node.json",
            "$recursiveAnchor": True,
            "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"$recursiveRef": "#"}}],
        }
    },
    "anyOf": [{"type": "integer"}, {"$ref": "#/$defs/node"}],
}


@pytest.mark.parametrize("with_id", [True, False], ids=["with an id", "without an id"])
def test_a_recursive_reference_starts_from_the_outermost_schema(with_id):
    schema = {name: value for name, value in RECURSIVE.items() if with_id or name != "$id"}
    source = LocalSchemas({"tree": schema})
    assert violations_of(source, "tree", {"a": {"b": 1}, "c": "s"}) == []
    assert violations_of(source, "tree", {"a": {"b": []}}) != []


def test_a_dynamic_reference_starts_from_the_outermost_schema():
    documents = {
        "list": {
            "$id": "https://ex.org/list",
            "$defs": {"any": {"$dynamicAnchor": "T"}},
            "items": {"$dynamicRef": "#T"},
        },
        "numbers": {
            "$id": "https://ex.org/numbers",
            "$defs": {"T": {"$dynamicAnchor": "T", "type": "number"}},
            "$ref": "list",
        },
    }
    source = LocalSchemas(documents)
    assert violations_of(source, "numbers", [1, 2]) == []
    assert violations_of(source, "numbers", ["x"]) == [("/0", "type")]
    assert violations_of(source, "list", ["x"]) == []
