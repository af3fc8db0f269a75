"""Reference data in objects: each format read exactly, and every mistake in them reported with its position."""

from __future__ import annotations

from decimal import Decimal

import pytest

import holded_pipeline as hp
from holded_pipeline.enriching.reference_data import ReferenceFormat, format_of


def rows(text, kind, key="id", columns=None):
    return ReferenceFormat(kind, key, columns).rows(text)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a/b.csv", "csv"), ("b.json.gz", "json"), ("b.jsonl", "jsonl"), ("b.ndjson.zst", "jsonl"), ("b.csv.gz", "csv")],
)
def test_the_extension_tells_the_format(name, kind):
    assert format_of(name) == kind


def test_a_name_without_a_known_extension_needs_the_format():
    with pytest.raises(ValueError, match="give format="):
        format_of("companies")


def test_csv_has_a_header_and_its_values_are_texts():
    text = '\ufeffid,name,"zip, code"\r\n7,"Núria, S.L.",08001\r\n\r\n8,"two\nlines",\r\n'.encode()
    assert rows(text, "csv") == {
        "7": {"name": "Núria, S.L.", "zip, code": "08001"},
        "8": {"name": "two\nlines", "zip, code": ""},
    }


def test_json_keeps_types_and_digits():
    text = b'[{"id":7,"rate":0.10000000000000000001,"more":{"n":[null]}},{"id":"8","rate":123456789012345678901}]'
    assert rows(text, "json", columns=("rate", "more")) == {
        "7": {"rate": Decimal("0.10000000000000000001"), "more": {"n": [None]}},
        "8": {"rate": 123456789012345678901, "more": None},
    }


def test_the_names_of_one_json_object_are_its_keys():
    text = b'{"ES":{"vat":21,"eu":true},"FR":{"vat":20},"US":null}'
    assert rows(text, "json", None) == {"ES": {"vat": 21, "eu": True}, "FR": {"vat": 20}, "US": {"value": None}}


def test_json_lines_are_rows():
    assert rows(b'{"id":"a","n":1}\n\n{"id":"b","n":2}\n', "jsonl") == {"a": {"n": 1}, "b": {"n": 2}}


@pytest.mark.parametrize(
    ("text", "kind", "key", "columns", "words"),
    [
        (b"id,n\na,1\nb,2\na,3\n", "csv", "id", None, "line 4 has the key 'a', which an earlier row has too"),
        (b"id,n\na,1,2\n", "csv", "id", None, "line 2 has 3 fields, and the header 2"),
        (b"id,n\na,\0\n", "csv", "id", None, "line 2 holds U[+]0000"),
        (b'id,n\na,"1\n', "csv", "id", None, "line 2 is not CSV"),
        (b"id,n\n\xe9,1\n", "csv", "id", None, "byte 5 is not UTF-8"),
        (b"", "csv", "id", None, "no column 'id'; it has: none"),
        (b"id,n\n", "csv", "id", ("m",), "no column 'm'; it has: id, n"),
        (b"id,id\n", "csv", "id", None, "names 'id' twice"),
        (b'[{"id":"a"},{"id":"a"}]', "json", "id", None, "element 1 has the key 'a'"),
        (b'[{"id":"1"},{"id":1}]', "json", "id", None, "element 1 has the key '1'"),
        (b'[{"id":null}]', "json", "id", None, "element 0 has no text or integer as 'id'"),
        (b"[7]", "json", "id", None, "element 0 is not an object"),
        (b"7", "json", "id", None, "neither an array nor an object"),
        (b'{"a":1}', "json", "id", None, "omit key="),
        (b"[]", "json", None, None, "name it with key="),
        (b'{"a":1,"a":2}', "json", None, None, "'a' occurs twice"),
        (b'{"id":"a"}\n{"id"\n', "jsonl", "id", None, "line 2 is not JSON"),
    ],
)
def test_a_mistake_is_reported_with_its_position(text, kind, key, columns, words):
    with pytest.raises(hp.ConfigurationError, match=words):
        rows(text, kind, key, columns)
