"""Framing: every byte of every record is framed once, whatever the layout and the chunks."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.framing import frame, frame_lines
from holded_pipeline.reading.layout import layout_of
from holded_pipeline.reading.value_framing import frame_values

DOCUMENTS = st.dictionaries(
    st.text(max_size=5),
    st.none() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=4), max_size=3),
    max_size=4,
)


def chunked(text: bytes, cuts: list[int]) -> list[bytes]:
    positions = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(positions)]


def records(text: bytes, key: str = "raw/a.jsonl") -> list[tuple[int, int | None, bytes]]:
    return [(r.line, r.item, r.raw) for r in frame([text], key=key)]


@given(
    st.lists(DOCUMENTS, max_size=8),
    st.lists(st.integers(0, 10_000), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)
def test_lines_are_framed_unaltered_whatever_the_chunks(documents, cuts, end):
    lines = [json.dumps(document).encode() for document in documents]
    text = end.encode().join(lines)
    framed = list(frame_lines(chunked(text, cuts)))
    assert [r.raw for r in framed] == lines
    assert [r.line for r in framed] == list(range(1, len(lines) + 1))


@given(
    st.lists(DOCUMENTS, min_size=1, max_size=8),
    st.lists(st.integers(0, 10_000), max_size=6),
    st.sampled_from([None, 1, 4]),
    st.booleans(),
)
def test_elements_of_an_array_are_framed_unaltered_whatever_the_chunks(documents, cuts, indent, ensure_ascii):
    text = json.dumps(documents, indent=indent, ensure_ascii=ensure_ascii).encode("utf-8", "surrogatepass")
    framed = list(frame_values(chunked(text, cuts)))
    assert [json.loads(r.raw.decode("utf-8", "surrogatepass")) for r in framed] == documents
    assert [r.item for r in framed] == list(range(1, len(documents) + 1))
    assert {r.line for r in framed} == {1}


@given(st.lists(DOCUMENTS, min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=6))
def test_indented_documents_in_sequence_are_one_record_each(documents, cuts):
    text = "\n\n".join(json.dumps(document, indent=2) for document in documents).encode()
    framed = list(frame_values(chunked(text, cuts)))
    assert [json.loads(r.raw) for r in framed] == documents
    for record in framed:
        assert text.split(b"\n")[record.line - 1].startswith(b"{")


@given(
    st.binary(max_size=200).filter(lambda text: b"\xef\xbb\xbf" not in text),
    st.lists(st.integers(0, 300), max_size=5),
)
def test_no_visible_byte_of_any_text_is_dropped_by_the_layout_values(text, cuts):
    kept = b"".join(r.raw for r in frame_values(chunked(text, cuts)))
    for byte in set(text) - set(b" \t\r\n\x0b\x0c[],"):
        assert kept.count(byte) == text.count(byte)


def test_blank_lines_are_skipped_but_counted():
    assert records(b'{"a":1}\n\n  \n{"a":2}\n') == [(1, None, b'{"a":1}'), (4, None, b'{"a":2}')]


def test_a_byte_order_mark_is_not_part_of_the_first_record():
    assert records(b'\xef\xbb\xbf{"a":1}\n') == [(1, None, b'{"a":1}')]


def test_a_line_that_is_an_array_holds_several_records_of_that_line():
    assert records(b'{"a":1}\n[{"b":2}, {"c":3}]\n') == [
        (1, None, b'{"a":1}'),
        (2, 1, b'{"b":2}'),
        (2, 2, b'{"c":3}'),
    ]


def test_a_broken_line_is_one_record_and_its_neighbours_are_unaltered():
    assert records(b'{"a":1}\n{"b": oops\n{"c":3}\n') == [
        (1, None, b'{"a":1}'),
        (2, None, b'{"b": oops'),
        (3, None, b'{"c":3}'),
    ]


def test_a_broken_element_is_one_record_and_its_neighbours_are_unaltered():
    framed = records(b'[{"a":1}, {"b": oops}, {"c":3}]', "raw/a.json")
    assert framed == [(1, 1, b'{"a":1}'), (1, 2, b'{"b": oops}'), (1, 3, b'{"c":3}')]


def test_an_array_that_ends_after_a_whole_element_is_rejected():
    *good, last = frame([b'[{"a":1},'], key="raw/a.json")
    assert [r.raw for r in good] == [b'{"a":1}']
    assert last.fault is not None
    assert last.fault.reason == "invalid_json"


def test_brackets_and_quotes_inside_strings_are_text():
    raw = rb'{"a":"]}\",[{","b":"\\"}'
    assert records(b"[" + raw + b"," + raw + b"]", "raw/a.json") == [(1, 1, raw), (1, 2, raw)]


def test_the_layout_comes_from_the_key_or_else_from_the_text():
    printed = b'{\n  "a": 1\n}\n'
    assert layout_of(printed, "raw/a.json") == "values"
    assert layout_of(printed, "raw/a.ndjson") == "lines"
    assert layout_of(b'{"a":1}\n{"a":2}\n', "raw/a") == "lines"
    assert layout_of(b'[\n{"a":1}\n]', "raw/a") == "values"


def test_lines_are_recognised_without_an_ending_even_when_the_first_is_broken():
    assert layout_of(b'{"a": 1\n{"b": 2}\n{"c": 3}\n', "raw/export.json") == "lines"


def test_a_line_above_keep_bytes_is_cut_and_has_a_fault(monkeypatch):
    monkeypatch.setattr("holded_pipeline.reading.framing.KEEP_BYTES", 10)
    big, small = frame_lines([b'{"a":"0123', b'456789"}\n{"b":1}\n'])
    assert big == Record(b'{"a":"0123', 1, None, big.fault, whole=False)
    assert big.fault is not None
    assert big.fault.reason == "record_too_large"
    assert small.raw == b'{"b":1}'


@pytest.mark.parametrize("between", [b"", b" ", b"\r", b"\r\r"], ids=repr)
def test_documents_without_a_line_between_them_are_one_record_each(between):
    raw = [b'{"a":%d}' % number for number in range(3)]
    assert [record for _, _, record in records(between.join(raw) + between, "raw/a.json")] == raw


def test_documents_without_a_line_end_are_recognised_in_a_large_head():
    raw = [b'{"a":"%d"}' % number for number in range(10_000)]
    assert layout_of(b"".join(raw)[: 1 << 16], "raw/firehose") == "values"
    assert layout_of(b'{"a":"' + b"x" * (1 << 16), "raw/one") == "lines"


def test_text_after_a_single_document_is_not_dropped():
    assert records(b'{"a":1} junk', "raw/a.json") == [(1, None, b'{"a":1} junk')]
    assert records(b'{"a":1}{"b":2} junk', "raw/a.json")[2][2] == b"junk"


def test_a_string_of_escapes_takes_no_more_memory_than_another():
    def peak(text: bytes) -> int:
        tracemalloc.start()
        try:
            list(frame_values([text]))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(b'["' + b"\\" * 2_000_000) < 2 * peak(b'["' + b"x" * 2_000_000)


@given(
    st.lists(st.sampled_from([b"{}", b"{", b"{} ", b" {}", b"{}\r", b"\r", b"", b"[{},{}]", b"\xef\xbb\xbf{}", b"x"])),
    st.lists(st.integers(0, 10_000), max_size=6),
)
def test_a_line_between_two_others_is_framed_like_one_alone(lines, cuts):
    alone = [r for number, line in enumerate(lines, 1) for r in frame_lines([line], first_line=number)]
    assert list(frame_lines(chunked(b"\n".join(lines), cuts))) == alone


@pytest.mark.parametrize("key", ["raw/a.jsonl", "raw/a.json", "raw/firehose"])
@pytest.mark.parametrize(
    ("text", "places"),
    [
        (b'{"a":1}{"a":2}', [(1, 1), (1, 2)]),
        (b'{"a":1}\r{"a":2}\r', [(1, 1), (1, 2)]),
        (b'[{"a":1}][{"a":2}]', [(1, 1), (1, 2)]),
        (b'{"a":1}[{"a":2},{"a":3}]\n', [(1, 1), (1, 2), (1, 3)]),
        (b'[{"a":1}, {"a":2}] {"a":3}\n', [(1, 1), (1, 2), (1, 3)]),
        (b'{"a":1}{"a":2}\n{"a":3}', [(1, 1), (1, 2), (2, None)]),
        (b'{"a":1}\n{"a":2}{"a":3}\n{"a":4}', [(1, None), (2, 1), (2, 2), (3, None)]),
    ],
)
def test_each_value_of_a_line_is_a_record_with_a_place_of_its_own(key, text, places):
    framed = records(text, key)
    assert [(line, item) for line, item, _ in framed] == places
    assert [json.loads(raw) for _, _, raw in framed] == [{"a": number + 1} for number in range(len(places))]


def test_of_a_line_with_several_values_the_broken_one_is_rejected_alone():
    assert [raw for _, _, raw in records(b'{"a":1}{"a":oops}{"a":3}\n')] == [b'{"a":1}', b'{"a":oops}', b'{"a":3}']
    assert [raw for _, _, raw in records(b'{"a":1}{"a":2\n')] == [b'{"a":1}', b'{"a":2']


@pytest.mark.parametrize("line", [b'{"a":1},{"b":2}', b'{"a":1} {"b":2} x', b'{"a":{}}, "b":{}}'])
def test_a_broken_line_does_not_become_records_that_nobody_sent(line):
    assert records(line) == [(1, None, line)]


@pytest.mark.parametrize(
    ("text", "raws"),
    [
        (b"[1,,2]", [b"1", b"", b"2"]),
        (b"[,1]", [b"", b"1"]),
        (b'["x",,]', [b'"x"', b"", b""]),
        (b"[,]", [b"", b""]),
        (b"[1,]", [b"1", b""]),
        (b"[\n1\n,\n]", [b"1", b""]),
        (b"[\x0c]", [b"\x0c"]),
        (b"[ \t\r\n]", []),
        (b"[]", []),
    ],
)
@pytest.mark.parametrize("key", ["raw/a.json", "raw/a"])
def test_an_empty_element_of_an_array_is_a_record(text, raws, key):
    framed = records(text, key)
    assert [(item, raw) for _, item, raw in framed] == list(enumerate(raws, 1))


def test_what_is_blank_to_python_and_not_to_json_is_a_record():
    assert [raw for _, _, raw in records(b'{"a":1}\n\x0c\n\x0b\n')] == [b'{"a":1}', b"\x0c", b"\x0b"]


def test_a_record_that_is_too_large_does_not_include_what_follows(monkeypatch):
    monkeypatch.setattr("holded_pipeline.reading.scanned_text.KEEP_BYTES", 10)
    text = b'[{"a":"0123456789"},{"b":1},\n "0123456789\\"]0123", {"c":1}]  {"d":"0123456789"} {"e":1}'
    for size in (1, 3, 7, 100):
        framed = list(frame_values([text[at : at + size] for at in range(0, len(text), size)]))
        assert [(r.item, r.raw, r.whole) for r in framed] == [
            (1, b'{"a":"0123', False),
            (2, b'{"b":1}', True),
            (3, b'"012345678', False),
            (4, b'{"c":1}', True),
            (1, b'{"d":"0123', False),
            (2, b'{"e":1}', True),
        ]
