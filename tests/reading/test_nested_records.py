"""Records in an array inside documents: framed one by one, at any chunk size, without holding the document."""

from __future__ import annotations

import json
import random
import tracemalloc
from datetime import UTC, datetime

import pytest

import holded_pipeline as hp
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.framing_under_path import frame_under_path
from holded_pipeline.reading.records import RecordReader
from holded_pipeline.reading.records_path import RecordsPath

CLOUDTRAIL = b'{"Records":[{"eventID":"e-1","eventName":"Start"},{"eventID":"e-2","eventName":"Stop"}]}'


def frame(text, records="/Records/*", *, size=1 << 16, key="x", layout=None, with_outer=False):
    def open_text():
        return iter([text[at : at + size] for at in range(0, len(text), size)])

    path = RecordsPath.parse(records)
    return list(frame_under_path(open_text, path, key=key, layout=layout, with_outer=with_outer))


def passed(records):
    return [json.loads(record.raw) for record in records if record.fault is None]


def faults(records):
    return [(record.fault.reason, record.raw) for record in records if record.fault is not None]


def places(records):
    return [(record.line, record.item) for record in records]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("indent", [None, 0, 2])
def test_each_element_of_the_array_is_a_record(size, indent):
    document = json.loads(CLOUDTRAIL)
    text = json.dumps(document, indent=indent).encode()
    framed = frame(text, size=size)
    assert passed(framed) == document["Records"]
    assert places(framed) == [(1, 1), (1, 2)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_only_the_array_at_the_path_is_followed(size):
    document = {
        "items": [{"no": 1}],
        "a": {"x": {"b/c": [{"no": 2}]}, "text": '"b/c":[{"no":3}]', "b/c": [{"b/c": [4]}, [5], 6, "7", None]},
        "b/c": [{"no": 8}],
        "c": [{"a": {"b/c": [{"no": 9}]}}],
    }
    for indent in (None, 1):
        text = json.dumps(document, indent=indent).encode()
        assert passed(frame(text, "/a/b~1c/*", size=size)) == document["a"]["b/c"]
        assert faults(frame(text, "/a/b~1c/*", size=size)) == []


@pytest.mark.parametrize(("name", "pointer"), [('q"x\\', '/q"x\\/*'), ("é~", "/é~0/*"), ("", "//*"), ("0", "/0/*")])
def test_names_may_be_any_text(name, pointer):
    text = json.dumps({name + "!": [1], name: [{"a": 1}, {"a": 2}]}).encode()
    for size in (1, 1000):
        assert passed(frame(text, pointer, size=size)) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_many_documents_have_records_with_unique_places(size):
    page = json.dumps(json.loads(CLOUDTRAIL), indent=1).encode()
    for text, count in (
        (CLOUDTRAIL + b"\n" + CLOUDTRAIL + b"\r\n\n" + CLOUDTRAIL, 6),
        (CLOUDTRAIL + CLOUDTRAIL + b"\n", 4),
        (page + b"\n" + page + page, 6),
        (b"[" + CLOUDTRAIL + b",\n" + page + b"]\n" + CLOUDTRAIL, 6),
    ):
        framed = frame(text, size=size)
        assert len(passed(framed)) == count
        assert faults(framed) == []
        assert len(set(places(framed))) == count


@pytest.mark.parametrize("body", [b"{}", b'{"Records": null}', b'{"Records": {"Records": [1]}}', b'{"x": [1]}'])
def test_a_document_without_the_array_is_rejected_once_and_the_others_are_read(body):
    for text in (body + b"\n" + CLOUDTRAIL, CLOUDTRAIL + body, b"[" + body + b"," + CLOUDTRAIL + b"]"):
        for size in (1, 1000):
            framed = frame(text, size=size)
            assert faults(framed) == [("missing_field", body)]
            assert len(passed(framed)) == 2
            assert len(set(places(framed))) == 3


def test_an_empty_array_has_no_records():
    assert frame(b'{"Records": [ ]}\n[]') == []


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        (b'{"Records":[{"a":1},{"a":oops},{"a":3}]}', 3, []),  # the reader rejects the second, not the framing
        (b'{"Records":[{"a":1},{"a":2', 1, [("invalid_json", b'{"a":2')]),
        (b'{"Records":[{"a":1}]', 1, [("invalid_json", b'{"Records":[]')]),
        (b'{"x":oops,"Records":[{"a":1}]}', 1, [("invalid_json", b'{"x":oops,"Records":[]}')]),
        (b'{"Records":[{"a":1}},', 1, [("invalid_json", b'{"Records":[]'), ("invalid_json", b",")]),
        (b'{"Records":[{"a":1}]}oops', 1, [("invalid_json", b"oops")]),
        (b'{"Records"', 0, [("invalid_json", b'{"Records"')]),
        (b'{"Records":[{"a":1}],"Records":[{"a":2}]}', 2, []),
        (b'[{"Records":[]}]{"Records":[{"a":1}]}', 1, []),
        (b'[{"Records":[}]{"Records":[{"a":1}]}', 1, [("invalid_json", b'{"Records":[]')]),
        (b'[{"Records":[{"a":1}]},]', 1, [("invalid_json", b"")]),
    ],
)
def test_of_a_broken_document_each_part_is_passed_or_rejected_once(text, good, bad):
    for size in (1, 3, 1000):
        framed = frame(text, size=size, layout="values")
        assert sum(record.fault is None for record in framed) == good
        assert faults(framed) == bad
        assert len(set(places(framed))) == len(framed)


def test_a_broken_line_of_documents_is_rejected_alone():
    broken = b'{"Records":[{"eventID":"e-3"},{"eventID":"e-4'
    text = CLOUDTRAIL + b"\n" + broken + b"\n" + CLOUDTRAIL + b"\n"
    for size in (1, 10, 1000):
        framed = frame(text, size=size)
        assert [record["eventID"] for record in passed(framed)] == ["e-1", "e-2", "e-3", "e-1", "e-2"]
        assert faults(framed) == [("invalid_json", b'{"eventID":"e-4')]


def test_the_text_around_the_records_comes_with_each_wherever_it_stands():
    text = b'{"a":1,"Records":[{"n":1},{"n":2}],"b":2}\n{"Records":[]}{"Records":[{"n":3}],"c":3}{"d":4}'
    for size in (1, 9, 1000):
        framed = frame(text, size=size, with_outer=True)
        assert [record.outer for record in framed] == [
            *[b'{"a":1,"Records":[],"b":2}'] * 2,
            b'{"Records":[],"c":3}',
            None,
        ]


def test_random_documents_are_framed_as_they_are_parsed():
    source = random.Random(7)

    def value(depth):
        kinds = [1, "x", '{"Records":[1]}', "\\", None, 1.5, {}, []]
        if depth and source.random() < 0.7:
            inner = [value(depth - 1) for _ in range(source.randrange(4))]
            names = ["Records", "a", "b\\", 'R"']
            return inner if source.random() < 0.4 else dict(zip(names, inner, strict=False))
        return source.choice(kinds)

    for _ in range(200):
        documents = [{"a": value(3), "Records": value(2), "z": value(3)} for _ in range(3)]
        indent = source.choice([None, 1])
        text = b"\n".join(json.dumps(document, indent=indent).encode() for document in documents)
        framed = frame(text, size=source.choice([1, 5, 64, 9999]))
        arrays = [document["Records"] for document in documents if isinstance(document["Records"], list)]
        assert passed(framed) == [record for array in arrays for record in array]
        assert len(faults(framed)) == len(documents) - len(arrays)
        assert len(set(places(framed))) == len(framed)


def test_a_broken_text_is_framed_the_same_at_any_chunk_size_with_unique_places():
    source = random.Random(8)
    texts = [
        CLOUDTRAIL + b"\n" + CLOUDTRAIL + b'\n{"a":1}\n',
        b"[" + json.dumps(json.loads(CLOUDTRAIL), indent=1).encode() + b"," + CLOUDTRAIL + b"]",
        b'{"x":{"y":1},\n"Records":[{"a":[1]},\n2],"z":[3]}\n{"Records":[4]}',
        b'[{"Records":[1}]{"Records":[2]}',
    ]
    for _ in range(1000):
        text = bytearray(source.choice(texts))
        for _ in range(source.randrange(4)):
            at = source.randrange(len(text))
            text[at : at + source.randrange(2)] = source.choice([b"", b'"', b"{", b"}", b"[", b"]", b",", b"\n", b"\\"])
        whole = frame(bytes(text), with_outer=True)
        parts = frame(bytes(text), size=source.choice([1, 2, 5, 13]), with_outer=True)
        assert [record[:3] for record in whole] == [record[:3] for record in parts]
        assert [record.outer for record in whole] == [record.outer for record in parts]
        assert len(set(places(whole))) == len(whole)


def test_the_memory_does_not_grow_with_the_document():
    record = b'{"eventID":"' + b"x" * 1000 + b'"},'

    def open_text():
        yield b'{"Records":['
        for _ in range(20):
            yield record * 1000
        yield b"{}]}"

    tracemalloc.start()
    count = sum(1 for _ in frame_under_path(open_text, RecordsPath.parse("/Records/*"), key="x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_001
    assert peak < 15 << 20


NOWHERE = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")


@pytest.mark.parametrize(
    "wrong", ["", "*", "/*", "/Records", "Records/*", "/a/*/b/*", "/*/a/*", "/a~2/*", "/Records/*/", 5, b"/a/*"]
)
def test_a_wrong_pointer_is_a_value_error_that_shows_a_right_one(wrong):
    with pytest.raises(ValueError, match="records"):
        hp.ReadMinIO(NOWHERE, "x/", records=wrong)


def with_owner(document, source, outer):
    owner = outer.pop("owner", "nobody")
    return Event(id="1", type="t", company_id=owner, occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data=document)


def test_each_record_has_its_copy_of_the_outer_members_and_is_rejected_if_broken():
    path = RecordsPath.parse("/a/Records/*")
    reader = RecordReader(with_owner, max_record_bytes=100, max_depth=10, records=path)
    source = Source("b", "k", "e", 1, 1)
    text = b'{"a":{"Records":[{"n":1},{"n":2}]},"owner":"me"}'
    for record in frame(text, "/a/Records/*", with_outer=True):
        assert reader.read(record, source).company_id == "me"
        with pytest.raises(RejectRecord, match="read its object again with records="):
            reader.read(record._replace(outer=None), source)
    for outer, reason in ((b'{"a":', "invalid_json"), (b'{"a":"' + b"x" * 100 + b'"}', "record_too_large")):
        with pytest.raises(RejectRecord) as caught:
            reader.read(record._replace(outer=outer), source)
        assert caught.value.reason == reason
