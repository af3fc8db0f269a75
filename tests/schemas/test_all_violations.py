"""A document with several violations: each one that is found alone is found with the others, and no other is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_checks import DRAFTS, compile_schema, compile_subject

from holded_pipeline.model import json_codec

FORMATS = {
    "date": ["2026-02-30", "x", "2026-02-28"],
    "date-time": ["2026-01-01 10:00", "2026-13-01T00:00:00Z", "2026-12-31T23:59:60Z"],
    "duration": ["P", "P1Y2M"],
    "email": ["a@", "@b", "a(at)b", "a@b.es"],
    "hostname": ["-ex", "a..b", "ex.org"],
    "idn-hostname": ["〮한", "ñandú.es"],
    "ipv4": ["10.0.0.256", "10.0.0.1"],
    "ipv6": ["::g", "::1"],
    "json-pointer": ["a", "/~2", "/a~1"],
    "regex": [r"\a", "(", r"\p{L}", "^[^]$", "(?<n>a)"],
    "relative-json-pointer": ["/a", "1/a"],
    "time": ["25:00", "10:00:00", "23:59:60Z"],
    "uri": ["no uri", "https://ex.org/a"],
    "uri-reference": ["\\\\x", "#a"],
    "uri-template": ["http://{a", "http://a/{b}"],
    "uuid": ["123", "123e4567-e89b-12d3-a456-426614174000"],
}
KEYWORDS = [
    ({"multipleOf": 0.01}, "19.99", "1.005", "0.30000000000000004"),
    ({"multipleOf": 0.1}, "0.3", "0.35"),
    ({"multipleOf": 3}, "4", "12345678901234567890123456789", "1.0000000000000000000000001"),
    ({"type": "integer"}, "1.0", "1.5", "true", "12345678901234567890.0", "1e400"),
    ({"type": "number"}, '"x"', "0.1234567890123456789012345678901"),
    ({"maximum": 1}, "1.0000000000000000000000001", "1"),
    ({"minimum": 9007199254740993}, "9007199254740992", "9007199254740993"),
    ({"minLength": 2}, '"😀"', '"ab"'),
    ({"pattern": r"^\p{Lu}"}, '"ñ"', '"Ñ"'),
    ({"enum": [1, False]}, "true", "0", "1.0"),
    ({"const": {"a": 1}}, '{"a": true}', '{"a": 1.0}'),
    ({"uniqueItems": True}, "[1, true]", "[1, 1.0]", '[{"a": 1}, {"a": 1.0}]'),
    ({"contentEncoding": "base64"}, '"%%%"', '"YWE="'),
    ({"contentMediaType": "application/json"}, '"{:"', '"{}"'),
    ({"contentEncoding": "base64", "contentMediaType": "application/json"}, '"%%"', '"YWE="', '"eyJhIjoxfQ=="'),
    ({"dependencies": {"a": ["b", "c"]}}, '{"a": 1}', '{"a": 1, "b": 1, "c": 1}'),
    ({"dependencies": {"a": {"required": ["b"]}}}, '{"a": 1}'),
    ({"dependentRequired": {"a": ["b"]}}, '{"a": 1}'),
    ({"propertyNames": {"format": "email"}}, '{"a@": 1, "b@": 2}', '{"a@b.es": 1}'),
    ({"contains": {"format": "email"}}, '["a@"]', '["a@", "a@b.es"]'),
    ({"not": {"format": "email"}}, '"a@"', '"a@b.es"'),
    ({"anyOf": [{"format": "email"}, {"type": "integer"}]}, '"a@"', '"a@b.es"'),
    ({"oneOf": [{"format": "email"}, {"type": "integer"}]}, '"a@"', "1", "1.5"),
    ({"oneOf": [{"multipleOf": 0.01}, {"maximum": 20}]}, "19.99", "20.01", "30.001"),
    ({"allOf": [{"format": "email"}, {"minLength": 5}]}, '"a@"'),
    ({"if": {"multipleOf": 0.01}, "then": {"maximum": 1}}, "19.99", "19.999"),
    ({"properties": {"n": {"multipleOf": 0.01}}, "unevaluatedProperties": False}, '{"n": 19.99, "o": 1}'),
    ({"prefixItems": [{}], "unevaluatedItems": False}, "[1, 2]", "[1]"),
    ({"additionalProperties": False}, '{"a": 1, "b": 2}'),
    ({"required": ["a", "b"]}, "{}"),
]
VALUES = [({"format": name}, json_codec.encode(value)) for name, values in FORMATS.items() for value in values] + [
    (schema, text.encode()) for schema, *texts in KEYWORDS for text in texts
]


def violations_of_values(draft, chosen):
    """The violations of a document with one property for each chosen value."""
    schema = {"$schema": DRAFTS[draft], "properties": {f"v{number}": VALUES[number][0] for number in chosen}}
    document = {f"v{number}": json_codec.decode(VALUES[number][1]) for number in chosen}
    return set(compile_schema(schema).check(document))


@pytest.fixture(scope="module")
def alone():
    return {draft: [violations_of_values(draft, [number]) for number in range(len(VALUES))] for draft in DRAFTS}


@pytest.mark.parametrize("draft", DRAFTS)
@settings(max_examples=60, deadline=None)
@given(chosen=st.sets(st.integers(0, len(VALUES) - 1), min_size=2, max_size=8))
def test_violations_found_alone_are_found_together(alone, draft, chosen):
    expected = set().union(*(alone[draft][number] for number in chosen))
    assert violations_of_values(draft, sorted(chosen)) == expected


@pytest.mark.parametrize("draft", DRAFTS)
def test_each_violation_is_found_beside_one_that_python_finds_too(alone, draft):
    beside = VALUES.index(({"required": ["a", "b"]}, b"{}"))
    for number, expected in enumerate(alone[draft]):
        assert violations_of_values(draft, {number, beside}) == expected | alone[draft][beside], VALUES[number]


@pytest.mark.parametrize("draft", DRAFTS)
def test_valid_values_are_not_reported_beside_a_violation(draft):
    schema = {
        "$schema": DRAFTS[draft],
        "required": ["id"],
        "properties": {"price": {"multipleOf": 0.01}, "at": {"format": "date-time"}, "like": {"format": "regex"}},
    }
    document = {"price": 19.99, "at": "2026-12-31T23:59:60Z", "like": r"\p{L}"}
    (violation,) = compile_schema(schema).check(document)
    assert (violation.pointer, violation.keyword) == ("", "required")


def test_every_value_under_a_false_schema_is_reported_with_its_pointer():
    schema = {
        "properties": {"a": False, "b": False, "c": {"items": {"properties": {"d": False}}}},
        "patternProperties": {"^x": False},
        "required": ["id"],
    }
    document = {"a": 1, "b": 1, "x": 1, "c": [{}, {"d": 1}]}
    violations = compile_schema(schema).check(document)
    assert {violation.pointer for violation in violations} == {"", "/a", "/b", "/x", "/c/1/d"}
    assert len(violations) == 5


def test_a_subschema_of_another_draft_is_checked_by_its_own_rules():
    documents = {
        "a": {"$schema": DRAFTS["2020-12"], "required": ["id"], "properties": {"x": {"$ref": "b"}}},
        "b": {"$schema": DRAFTS["7"], "contentEncoding": "base64", "pattern": "^(a+)+$"},
    }
    text = "a" * 40 + "!"
    violations = compile_subject(documents, "a").check({"x": text})
    assert [(v.pointer, v.keyword) for v in violations] == [
        ("", "required"),
        ("/x", "contentEncoding"),
        ("/x", "pattern"),
    ]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"propertyNames": {"format": "email"}}, {f"name{number}@": 1 for number in range(10_000)}),
        ({"uniqueItems": True}, [{"n": number, "of": {}} for number in range(4_000)] + [{"n": 1, "of": {}}, "x"]),
        ({"items": {"format": "email"}}, ["a@"] * 10_000),
    ],
    ids=["names", "items", "texts"],
)
def test_a_document_with_many_violations_is_explained_in_seconds(schema, value):
    whole = {"required": ["id"], "properties": {"v": schema}}
    started = time.monotonic()
    violations = compile_schema(whole).check({"v": value})
    assert time.monotonic() - started < 8
    assert violations[0].keyword == "required"
    assert len(violations) > 1
