"""References in every draft: relative ids, files without a draft, metaschemas, letters of any kind."""

from __future__ import annotations

import pytest
from schema_checks import DRAFTS, violations_of

from holded_pipeline.schemas.references import LocalSchemas

every_draft = pytest.mark.parametrize("draft", DRAFTS)


def violations(documents, subject, document):
    paths = {name: f"{name}.json" for name in documents}
    return violations_of(LocalSchemas(documents, paths), subject, document)


def id_keyword(draft):
    return "id" if draft == "4" else "$id"


@every_draft
def test_a_relative_id_may_contain_a_folder(draft):
    documents = {
        "a/order": {
            "$schema": DRAFTS[draft],
            id_keyword(draft): "sales/order.json",
            "definitions": {"n": {"type": "integer"}},
            "properties": {
                "by_path": {"$ref": "line.json"},
                "by_id": {"$ref": "money.json"},
                "n": {"$ref": "#/definitions/n"},
            },
        },
        "a/line": {"$schema": DRAFTS[draft], "type": "string"},
        "b/other": {"$schema": DRAFTS[draft], id_keyword(draft): "../a/sales/money.json", "type": "string"},
    }
    assert violations(documents, "a/order", {"by_path": "s", "by_id": "s", "n": 1}) == []
    for name in ("by_path", "by_id", "n"):
        assert violations(documents, "a/order", {name: []}) == [(f"/{name}", "type")]


@every_draft
def test_references_start_from_a_relative_id_inside_a_schema(draft):
    inner = {id_keyword(draft): "deep/inner.json", "properties": {"m": {"$ref": "money.json"}}}
    documents = {
        "order": {"$schema": DRAFTS[draft], id_keyword(draft): "sales/order.json", "properties": {"i": inner}},
        "money": {"$schema": DRAFTS[draft], id_keyword(draft): "sales/deep/money.json", "type": "string"},
    }
    assert violations(documents, "order", {"i": {"m": "s"}}) == []
    assert violations(documents, "order", {"i": {"m": 1}}) == [("/i/m", "type")]


@pytest.mark.parametrize(
    ("draft", "schema", "good", "bad", "keyword"),
    [
        ("4", {"minimum": 0, "exclusiveMinimum": True}, 1, 0, "minimum"),
        ("4", {"dependencies": {"a": ["b"]}}, {}, {"a": 1}, "dependencies"),
        ("6", {"items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", 1], "additionalItems"),
        ("7", {"items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", 1], "additionalItems"),
        ("7", {"contentEncoding": "base64"}, "YWE=", "%", "contentEncoding"),
        ("2019-09", {"items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", 1], "additionalItems"),
        ("2020-12", {"prefixItems": [{"type": "string"}], "items": {"type": "null"}}, ["a"], ["a", 1], "type"),
    ],
)
def test_a_schema_without_a_draft_is_of_the_one_that_refers_to_it(draft, schema, good, bad, keyword):
    documents = {"r": {"$schema": DRAFTS[draft], "properties": {"x": {"$ref": "c"}}}, "c": schema}
    assert violations(documents, "r", {"x": good}) == []
    ((pointer, found),) = violations(documents, "r", {"x": bad})
    assert pointer.startswith("/x")
    assert found == keyword


@pytest.mark.parametrize("draft", ["4", "6", "7"])
def test_the_old_drafts_ignore_keywords_beside_a_reference(draft):
    referred = {"definitions": {"s": {}}, "properties": {"q": {"$ref": "#/definitions/s", "type": "integer"}}}
    documents = {"r": {"$schema": DRAFTS[draft], "properties": {"x": {"$ref": "c"}}}, "c": referred}
    assert violations(documents, "r", {"x": {"q": "s"}}) == []


@every_draft
@pytest.mark.parametrize("metaschema", DRAFTS)
def test_the_metaschema_of_any_draft_may_be_referred_to(draft, metaschema):
    documents = {"r": {"$schema": DRAFTS[draft], "required": ["y"], "properties": {"x": {"$ref": DRAFTS[metaschema]}}}}
    assert violations(documents, "r", {"x": {"type": "object"}, "y": 1}) == []
    invalid = {"properties": {"a": {"minLength": "1"}}}
    assert violations(documents, "r", {"x": invalid}) == [("", "required"), ("/x/properties/a/minLength", "type")]


@every_draft
@pytest.mark.parametrize("reference", ["#/definitions/dirección fiscal", "money.json#/definitions/Holded\\Ñ"])
def test_a_fragment_may_have_any_letters(draft, reference):
    documents = {
        "order": {
            "$schema": DRAFTS[draft],
            "definitions": {"dirección fiscal": {"type": "string"}},
            "properties": {"x": {"$ref": reference}},
        },
        "money": {"$schema": DRAFTS[draft], "definitions": {"Holded\\Ñ": {"type": "string"}}},
    }
    assert violations(documents, "order", {"x": "s"}) == []
    assert violations(documents, "order", {"x": 1}) == [("/x", "type")]


@every_draft
@pytest.mark.parametrize("own", ["dirección.json", "https://ex.org/la dirección.json", "Holded\\Dirección"])
def test_an_id_may_have_any_letters(draft, own):
    documents = {
        "order": {"$schema": DRAFTS[draft], "properties": {"x": {"$ref": own}}},
        "address": {"$schema": DRAFTS[draft], id_keyword(draft): own, "type": "string"},
    }
    assert violations(documents, "order", {"x": "s"}) == []
    assert violations(documents, "order", {"x": 1}) == [("/x", "type")]
