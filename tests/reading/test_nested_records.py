"""Records in an array within a document: each has a place of its own, and reaches the document around it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.reading import nested_records
from holded_pipeline.reading.nested_records import frame_nested_records, parse_records_path

TRAIL = b'{"owner": "o", "Records": [{"a": 1}, {"a": [2, {"Records": [9]}]}\n, "x"], "next": {"Records": [3]}}'


def framed(body: bytes, path=("Records",), step: int = 1 << 20):
    return list(frame_nested_records((body[at : at + step] for at in range(0, len(body), step)), path))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1 << 20])
def test_each_element_is_a_record_with_its_item_and_the_document_around_it(step):
    records = framed(TRAIL, step=step)
    assert [record.raw for record in records] == [b'{"a": 1}', b'{"a": [2, {"Records": [9]}]}', b'"x"']
    assert [(record.line, record.item, record.fault) for record in records] == [
        (1, 1, None),
        (1, 2, None),
        (1, 3, None),
    ]
    for record in records:
        assert json.loads(record.outer) == {"owner": "o", "Records": [], "next": {"Records": [3]}}


def test_the_path_may_lead_through_objects_and_names_may_be_escaped():
    body = b'{"x": [{"d": {"i/~": [1]}}], "d": {"i": 1, "i\\u002f~": [{"n": 1}, {"n": 2}]}, "z": 1}'
    records = framed(body, parse_records_path("/d/i~1~0/*"))
    assert [record.raw for record in records] == [b'{"n": 1}', b'{"n": 2}']
    assert json.loads(records[0].outer) == {"x": [{"d": {"i/~": [1]}}], "d": {"i": 1, "i/~": []}, "z": 1}


def test_documents_stand_one_after_the_other():
    body = (
        b'{"Records": [{"a": 1}], "p": 1} {"Records": [{"a": 2}], "p": 2}\n'
        b'{"Records": [], "p": 3}\n{"Records": [{"a": 4}]}'
    )
    records = framed(body)
    assert [record.raw for record in records] == [b'{"a": 1}', b'{"a": 2}', b'{"a": 4}']
    assert [(record.line, record.item) for record in records] == [(1, 1), (1, 2), (3, 1)]
    assert [json.loads(record.outer).get("p") for record in records] == [1, 2, None]


@pytest.mark.parametrize(
    "body",
    [
        b'{"Other": [1]}',
        b'{"Records": {"a": 1}}',
        b'{"Records": null}',
        b'[{"Records": [1]}]',
        b'{"a": {"Records": [1]}}',
    ],
)
def test_a_document_without_the_array_is_one_rejection(body):
    (record,) = framed(body)
    assert (record.raw, record.fault.reason) == (body, "missing_field")
    assert "no array at /Records" in str(record.fault)


def test_a_document_that_is_broken_around_its_records_is_one_rejection_beside_them():
    records = framed(b'{"Records": [{"a": 1}, {"a": 2}], oops}\n{"Records": [{"a": 3}]}')
    assert [record.raw for record in records if record.fault is None] == [b'{"a": 1}', b'{"a": 2}', b'{"a": 3}']
    (broken,) = [record for record in records if record.fault is not None]
    assert (broken.fault.reason, broken.raw) == ("invalid_json", b'{"Records":[], oops}')
    assert len({(record.line, record.item) for record in records}) == 4


def test_a_text_that_ends_early_loses_no_record():
    records = framed(b'{"owner": "o", "Records": [{"a": 1}, {"a": 2')
    assert [record.raw for record in records] == [b'{"a": 1}', b'{"a": 2']
    assert [record.fault is None for record in records] == [True, False]
    assert json.loads(records[0].outer) == {"owner": "o", "Records": []}


def test_of_many_records_those_that_do_not_fit_have_the_members_before(monkeypatch):
    monkeypatch.setattr(nested_records, "_HELD_BYTES", 100)
    elements = ", ".join(json.dumps({"n": number}) for number in range(50))
    records = framed(b'{"p": 1, "Records": [%b], "q": 2}' % elements.encode())
    assert [json.loads(record.raw)["n"] for record in records] == list(range(50))
    assert json.loads(records[0].outer) == {"p": 1, "Records": []}
    assert json.loads(records[-1].outer) == {"p": 1, "Records": [], "q": 2}


NAMES = st.sampled_from(["Records", "a", 'q"', "\\"])
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=4)


@given(DOCUMENTS, st.integers(1, 50), st.sampled_from([None, 1]))
def test_any_documents_give_their_elements_whatever_the_chunks(documents, step, indent):
    body = "\n".join(json.dumps(each, indent=indent) for each in documents).encode()
    records = framed(body, step=step)
    passed = [json.loads(record.raw) for record in records if record.fault is None]
    expected = [e for d in documents if isinstance(d.get("Records"), list) for e in d["Records"]]
    assert passed == expected
    assert len(records) - len(passed) == sum(not isinstance(each.get("Records"), list) for each in documents)
    places = [(record.line, record.item) for record in records]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("path", ["", "/*", "Records/*", "/Records", "/Records/", "/a/*/b", "/a/*/*", "//*x", None, 3])
def test_a_path_that_is_none_is_an_error_with_an_example(path):
    with pytest.raises(ValueError, match=r'such as "/Records/\*"'):
        parse_records_path(path)


def test_a_document_of_many_members_takes_time_in_proportion_to_its_size():
    members = b", ".join(b'"k%d": {"v": [%d]}' % (number, number) for number in range(60_000))
    (record,) = framed(b'{%b, "Records": [1]}' % members)
    assert record.raw == b"1"
    assert len(json.loads(record.outer)) == 60_001


def test_the_end_of_a_long_name_is_not_taken_for_a_name():
    body = json.dumps({"x" * 10_000 + '"Records': [1], "Records": [2]}).encode()
    assert [record.raw for record in framed(body)] == [b"2"]
