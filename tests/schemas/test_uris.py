"""URIs of schemas, and schemas rewritten to use them."""

from __future__ import annotations

from holded_pipeline.schemas.registered_schema import RegisteredSchema, documents_by_uri
from holded_pipeline.schemas.uris import absolute_uri, one_uri_per_document, references_in, rewrite_references, uris_in

ORDER = "http://schemas.invalid/sales/order.json"


def test_a_reference_is_made_absolute_and_percent_encoded():
    expected = ("http://schemas.invalid/direcci%C3%B3n.json", "/$defs/x")
    assert absolute_uri(ORDER, "../dirección.json#/$defs/x") == expected
    assert absolute_uri(ORDER, "../direcci%C3%B3n.json#/$defs/x") == expected


def test_references_start_from_the_nearest_id():
    inner = {"$id": "deep/inner.json", "items": {"$ref": "money.json#/$defs/cents"}}
    document = {"properties": {"$ref": inner, "self": {"$ref": "#/properties"}}, "const": {"$ref": "a value"}}
    assert list(references_in(document, ORDER)) == [("money.json", "http://schemas.invalid/sales/deep/money.json")]
    assert list(uris_in(document, ORDER)) == [ORDER, "http://schemas.invalid/sales/deep/inner.json"]


def test_rewriting_a_schema_leaves_the_original_as_it_was():
    document = {
        "$id": "order.json",
        "anyOf": [{"$ref": "money#/$defs/cents"}, {"$ref": "unknown"}, {"$ref": "#/$defs"}],
    }
    uris = {"money": "http://schemas.invalid/euros"}
    rewritten = rewrite_references(document, ORDER, lambda written, _: uris.get(written))
    assert rewritten == {
        "$id": ORDER,
        "anyOf": [{"$ref": "http://schemas.invalid/euros#/$defs/cents"}, {"$ref": "unknown"}, {"$ref": "#/$defs"}],
    }
    assert document["$id"] == "order.json"
    assert document["anyOf"][0] == {"$ref": "money#/$defs/cents"}


def test_a_document_with_two_uris_keeps_its_id():
    money = {"$id": "https://ex.org/money"}
    order = {"anyOf": [{"$ref": "money.json#/a"}, {"$ref": "https://ex.org/money"}, {"$ref": "#/ñ"}]}
    documents = {"http://schemas.invalid/order.json": order, "https://ex.org/money": money}
    documents["http://schemas.invalid/money.json"] = money
    assert one_uri_per_document(documents) == {
        "https://ex.org/money": {"$id": "https://ex.org/money"},
        "http://schemas.invalid/order.json": {
            "anyOf": [{"$ref": "https://ex.org/money#/a"}, {"$ref": "https://ex.org/money"}, {"$ref": "#/%C3%B1"}]
        },
    }


def test_one_name_in_two_registered_schemas_becomes_two_uris():
    euros = RegisteredSchema("euros", "1", {"type": "number"}, {})
    dollars = RegisteredSchema("dollars", "1", {"type": "integer"}, {})
    line = RegisteredSchema("line", "1", {"$ref": "money"}, {"money": dollars})
    order = RegisteredSchema("order", "1", {"items": {"$ref": "line"}, "$ref": "money"}, {"money": euros, "line": line})
    documents = documents_by_uri(order)
    assert documents == {
        "http://schemas.invalid/order": {
            "items": {"$ref": "http://schemas.invalid/line"},
            "$ref": "http://schemas.invalid/money",
        },
        "http://schemas.invalid/money": {"type": "number"},
        "http://schemas.invalid/line": {"$ref": "http://schemas.invalid/dollars/versions/1"},
        "http://schemas.invalid/dollars/versions/1": {"type": "integer"},
    }
    assert next(iter(documents)) == "http://schemas.invalid/order"


def test_a_name_of_the_root_is_used_in_a_schema_below_it():
    money = RegisteredSchema("money", "1", {"type": "number"}, {})
    line = RegisteredSchema("line", "1", {"$id": "https://x.org/line", "$ref": "money"}, {})
    order = RegisteredSchema("order", "1", {"$ref": "line"}, {"line": line, "money": money})
    documents = documents_by_uri(order)
    assert documents["https://x.org/line"]["$ref"] == "http://schemas.invalid/money"


def test_the_uri_of_a_schema_comes_before_a_name_of_the_root():
    money = RegisteredSchema("money", "1", {"type": "number"}, {})
    euros = RegisteredSchema("euros", "1", {"$id": "https://x.org/money"}, {})
    line = RegisteredSchema("line", "1", {"$id": "https://x.org/line", "$ref": "money"}, {})
    order = RegisteredSchema("order", "1", {"$ref": "line"}, {"line": line, "money": money, "euros": euros})
    assert documents_by_uri(order)["https://x.org/line"]["$ref"] == "money"
