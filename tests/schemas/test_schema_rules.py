"""Spellings of `$schema`, draft= of a source, formats and encoded content as options."""

from __future__ import annotations

import json

import pytest
from schema_checks import DRAFTS, compile_schema, violations_of

import holded_pipeline as hp
from holded_pipeline.schemas.schema_rules import SchemaRules, parse_draft

ONLY_IN_4 = {"minimum": 0, "exclusiveMinimum": True}  # not valid in the later drafts


def spellings(draft):
    version = draft if "-" in draft else f"0{draft}"
    for scheme in ("http://", "https://", "HTTPS://", "//", ""):
        for path in (f"draft-{version}", f"draft/{version}"):
            for end in ("schema", "schema#", "schema/", "Schema#", "hyper-schema#"):
                yield f"{scheme}json-schema.org/{path}/{end}"


@pytest.mark.parametrize("draft", DRAFTS)
def test_what_differs_only_in_spelling_is_the_same_draft(draft):
    assert {SchemaRules().draft_of(spelled) for spelled in spellings(draft)} == {draft}
    assert SchemaRules().draft_of(f"  {DRAFTS[draft]}\n") == draft


@pytest.mark.parametrize(
    "other", ["http://json-schema.org/draft-03/schema#", "https://ex.org/draft-07/schema#", "", "7"]
)
def test_another_schema_uri_is_not_taken_for_one(other):
    assert SchemaRules().draft_of(other) is None


@pytest.mark.parametrize(
    "spelled", ["https://json-schema.org/draft-07/schema#", "http://json-schema.org/draft/2020-12/schema"]
)
def test_a_spelling_is_known_where_it_is_referred_to_and_inside(spelled):
    inner = {"$id": "inner", "$schema": spelled, "type": "string"}
    documents = {
        "a": {"$schema": spelled, "properties": {"x": {"$ref": "b"}, "y": {"$ref": "b#/definitions/i"}}},
        "b": {"$schema": spelled, "type": "integer", "definitions": {"i": inner}},
    }
    source = hp.SchemaMapping(documents)
    assert violations_of(source, "a", {"x": 1, "y": "s"}) == []
    assert sorted(violations_of(source, "a", {"x": "s", "y": 1})) == [("/x", "type"), ("/y", "type")]


@pytest.mark.parametrize("unversioned", ["http://json-schema.org/schema#", "https://json-schema.org/schema"])
def test_a_schema_that_names_no_draft_is_of_the_given_one_or_the_newest(unversioned):
    assert SchemaRules().draft_of(unversioned) == "2020-12"
    assert SchemaRules("4").draft_of(unversioned) == "4"


def test_iglus_own_schema_uri_is_draft_4():
    iglu = "http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#"
    source = hp.SchemaMapping({"s": {"$schema": iglu, "self": {"vendor": "com.acme"}} | ONLY_IN_4})
    assert violations_of(source, "s", 0) == [("", "minimum")]


@pytest.mark.parametrize("written", ["4", 4, "04", "draft-04", "draft4", "http://json-schema.org/draft-04/schema"])
def test_a_draft_may_be_written_in_any_way(written):
    assert parse_draft(written) == "4"


@pytest.mark.parametrize("wrong", ["3", "2021", "", 5, True, "http://json-schema.org/schema#"])
def test_a_wrong_draft_is_an_error_that_lists_the_known(wrong, tmp_path):
    for make in (
        lambda: hp.SchemaDirectory(tmp_path, draft=wrong),
        lambda: hp.SchemaRegistry("http://localhost:1", draft=wrong),
        lambda: hp.SchemaMapping({}, draft=wrong),
    ):
        with pytest.raises(ValueError, match="draft must be one of '4', '6', '7', '2019-09', '2020-12', got"):
            make()


def test_every_source_gives_its_draft_to_schemas_without_one(tmp_path, registry):
    schemas = {"a": {"properties": {"x": {"$ref": "b.json"}}}, "b.json": {"$schema": "https://ex.org/mine"} | ONLY_IN_4}
    (tmp_path / "a.json").write_text(json.dumps(schemas["a"]))
    (tmp_path / "b.json").write_text(json.dumps(schemas["b.json"]))
    registry.add("b.json", schemas["b.json"])
    registry.add("a", schemas["a"], references=[{"name": "b.json", "subject": "b.json", "version": 1}])
    sources = (
        hp.SchemaMapping(schemas, draft="4"),
        hp.SchemaDirectory(tmp_path, draft="4"),
        hp.SchemaRegistry(registry.url, draft="4"),
    )
    for source in sources:
        assert violations_of(source, "a", {"x": 0}) == [("/x", "minimum")]
        assert violations_of(source, "a", {"x": 1}) == []


def test_what_a_schema_states_counts_more_than_the_given_draft():
    source = hp.SchemaMapping({"s": {"$schema": DRAFTS["4"]} | ONLY_IN_4}, draft="2020-12")
    assert violations_of(source, "s", 0) == [("", "minimum")]


@pytest.mark.parametrize("draft", DRAFTS)
def test_formats_are_checked_or_not_as_the_source_says(draft):
    schemas = {"s": {"$schema": DRAFTS[draft], "properties": {"at": {"format": "date-time"}}, "required": ["n"]}}
    document = {"at": "yesterday"}
    assert violations_of(hp.SchemaMapping(schemas), "s", document) == [("", "required"), ("/at", "format")]
    assert violations_of(hp.SchemaMapping(schemas, formats=False), "s", document) == [("", "required")]


ENCODED = {"contentEncoding": "base64", "contentMediaType": "application/json"}


@pytest.mark.parametrize(
    ("draft", "content", "is_checked"),
    [(draft, None, draft == "7") for draft in DRAFTS]
    + [(draft, True, draft not in ("4", "6")) for draft in DRAFTS]
    + [(draft, False, False) for draft in DRAFTS],
)
def test_encoded_content_is_checked_as_the_draft_and_the_source_say(draft, content, is_checked):
    source = hp.SchemaMapping({"s": {"$schema": DRAFTS[draft], "properties": {"p": ENCODED}}}, content=content)
    found = violations_of(source, "s", {"p": "%"}) + violations_of(source, "s", {"p": "YQ=="})
    assert found == ([("/p", "contentEncoding"), ("/p", "contentMediaType")] if is_checked else [])


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"contentEncoding": "base64"}, ["", "YWE=", "YWFh\r\nYWFh\r\n"], ["YWE", "%", "_-8=", "ñ"]),
        ({"contentEncoding": "base64url"}, ["_-8", "_-8="], ["+/8="]),
        ({"contentEncoding": "base16"}, ["00ff"], ["0"]),
        ({"contentEncoding": "base32"}, ["ME======"], ["1"]),
        ({"contentEncoding": "quoted-printable"}, ["=", "any"], []),
        ({"contentMediaType": "application/json; charset=utf-8"}, ["1", "{}"], ["", "{"]),
        ({"contentMediaType": "application/ld+json"}, ["[]"], ["["]),
        ({"contentMediaType": "text/html"}, ["<"], []),
        (ENCODED, ["e30=", "e3\n0="], ["e30", "ew=="]),
    ],
)
def test_encoded_content_is_judged_as_mime_writes_it(schema, good, bad):
    compiled = compile_schema({"$schema": DRAFTS["7"]} | schema)
    assert [text for text in good if compiled.check(text)] == []
    assert [text for text in bad if len(compiled.check(text)) != 1] == []


def test_a_property_may_be_called_like_a_content_keyword():
    source = hp.SchemaMapping({"s": {"properties": {"contentEncoding": {"type": "string"}}}}, content=False)
    assert violations_of(source, "s", {"contentEncoding": 1}) == [("/contentEncoding", "type")]
