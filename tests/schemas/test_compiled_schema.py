"""CompiledSchema: drafts, formats, exact numbers, and every violation."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from schema_checks import DRAFTS, compile_schema, compile_subject

import holded_pipeline as hp
from holded_pipeline.model import json_codec
from holded_pipeline.schemas.explanations import MAX_VIOLATIONS


def check(schema, text):
    return compile_schema(schema).check(json_codec.decode(text.encode()))


@pytest.mark.parametrize("draft", DRAFTS)
def test_every_draft_checks(draft):
    schema = {"$schema": DRAFTS[draft], "type": "object", "required": ["id"]}
    assert check(schema, '{"id": 1}') == ()
    assert [v.keyword for v in check(schema, "{}")] == ["required"]


def test_a_schema_is_checked_by_the_rules_of_its_draft():
    exclusive = {"minimum": 0, "exclusiveMinimum": True}  # draft 4's boolean is no number for the later ones
    assert [v.keyword for v in check({"$schema": DRAFTS["4"], **exclusive}, "0")] == ["minimum"]
    with pytest.raises(hp.ConfigurationError, match="not valid JSON Schema: at /exclusiveMinimum"):
        compile_schema({"$schema": DRAFTS["7"], **exclusive})


def test_a_schema_without_a_draft_is_of_the_newest():
    assert [v.keyword for v in check({"prefixItems": [{"type": "string"}]}, "[1]")] == ["type"]


def test_an_unknown_draft_is_an_error():
    with pytest.raises(hp.ConfigurationError, match=r"\$schema is 'https://ex.org/mine'; drafts 4, 6, 7"):
        compile_schema({"$schema": "https://ex.org/mine"})


@pytest.mark.parametrize("schema", [{"type": "strin"}, {"pattern": "("}, {"required": "id"}, 7, "text"])
def test_an_invalid_schema_is_an_error_that_names_its_subject(schema):
    with pytest.raises(hp.ConfigurationError, match="schema of subject 's' is not usable"):
        compile_schema(schema)


def test_a_reference_to_a_missing_part_of_a_schema_is_an_error_in_one_line():
    with pytest.raises(hp.ConfigurationError, match=r"^the schema of subject 's' .* Pointer '/nope' does not exist$"):
        compile_schema({"$ref": "#/nope"})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2026-01-01T10:00:00Z", "2026-01-01 10:00"),
        ("date", "2026-02-28", "2026-02-30"),
        ("email", "a@b.es", "a(at)b"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("uri", "https://ex.org/a", "no uri"),
        ("hostname", "ex.org", "-ex"),
    ],
)
def test_formats_are_checked_and_explained(name, good, bad):
    assert check({"format": name}, json.dumps(good)) == ()
    (violation,) = check({"format": name}, json.dumps(bad))
    assert violation.keyword == "format"
    assert bad in violation.message


def test_every_violation_is_reported_with_its_pointer():
    schema = {
        "type": "object",
        "required": ["id", "at"],
        "properties": {"a/b": {"type": "string"}, "list": {"items": {"minimum": 1}}},
        "additionalProperties": False,
    }
    found = check(schema, '{"a/b": 1, "list": [1, 0, -1], "more": true}')
    assert {(v.pointer, v.keyword) for v in found} == {
        ("", "required"),
        ("", "additionalProperties"),
        ("/a~1b", "type"),
        ("/list/1", "minimum"),
        ("/list/2", "minimum"),
    }
    assert {v.message for v in found if v.keyword == "required"} == {
        "'id' is a required property",
        "'at' is a required property",
    }


def test_thousands_of_violations_are_counted_rather_than_listed():
    found = check({"items": {"type": "string"}}, json.dumps([1] * 5_000 + list(range(5_000))))
    assert len(found) == MAX_VIOLATIONS + 1
    assert "more violations" in found[-1].message


def test_a_long_value_does_not_fill_the_message():
    (violation,) = check({"type": "integer"}, json.dumps("x" * 1_000_000))
    assert len(violation.message) < 600


@pytest.mark.parametrize(
    ("schema", "text", "valid"),
    [
        ({"type": "integer"}, "123456789012345678901234567890", True),
        ({"maximum": 9007199254740993}, "9007199254740994", False),
        ({"maximum": 9007199254740993}, "9007199254740993", True),
        ({"type": "number"}, "0.1234567890123456789012345678901", True),
        ({"type": "string"}, "0.1234567890123456789012345678901", False),
        ({"type": "number", "maximum": 1}, "1.0000000000000000000000001", False),
        ({"type": "integer"}, "1e30", True),
        ({"type": "integer"}, "1.0", True),
        ({"type": "integer"}, "1.5", False),
        ({"const": 1}, "1.0", True),
    ],
)
def test_numbers_are_compared_exactly(schema, text, valid):
    assert (check(schema, text) == ()) is valid


def test_unicode_properties_in_patterns_are_checked_and_explained():
    schema = {"pattern": r"^\p{Lu}\p{L}*$"}
    assert check(schema, '"Ñandú"') == ()
    (violation,) = check(schema, '"ñandú"')
    assert "ñandú" in violation.message


def test_inside_one_of_the_closest_violation_is_reported():
    schema = {
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind", "n"]},
            {"properties": {"kind": {"const": "b"}, "s": {"type": "string"}}, "required": ["kind", "s"]},
        ]
    }
    (violation,) = check(schema, '{"kind": "a", "n": "one"}')
    assert (violation.pointer, violation.keyword) == ("/n", "type")


def test_a_schema_may_be_true_or_false():
    assert check(True, "1") == ()
    assert len(check(False, "1")) == 1


def test_a_decimal_too_long_for_a_float_is_explained():
    (violation,) = check({"type": "object", "properties": {"a": {"maximum": 1}}}, '{"a": 2.00000000000000000000000001}')
    assert violation.pointer == "/a"
    assert Decimal("2.00000000000000000000000001") == json_codec.decode(b"2.00000000000000000000000001")


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(a+)+$"},
        {"patternProperties": {"^(a+)+$": False}, "additionalProperties": False},
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": {"type": "string"}},
    ],
    ids=["of a text", "of a name", "of any other name"],
)
def test_no_text_takes_hours_to_explain(schema):
    """Python's own engine would need hours for this."""
    text = "a" * 40 + "!"
    documents = {"a": {"properties": {"x": {"$ref": "b"}}}, "b": {"$schema": DRAFTS["2020-12"]} | schema}
    (violation,) = compile_subject(documents, "a").check({"x": text if "pattern" in schema else {text: 1}})
    assert violation.pointer.startswith("/x")


def test_the_message_lists_the_names_that_are_not_allowed():
    schema = {"properties": {"a": {}}, "patternProperties": {"^x-": {}}, "additionalProperties": False}
    (violation,) = compile_schema(schema).check({"a": 1, "x-b": 2, "c": 3, "d": 4})
    assert violation.message == "Additional properties are not allowed ('c', 'd' were unexpected)"
