"""A document is one record however it is formatted; a broken line, also the first, is rejected alone."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise

import pytest
import zstandard
from hypothesis import assume, given
from hypothesis import strategies as st

from holded_pipeline.model.json_codec import decode
from holded_pipeline.reading import layout
from holded_pipeline.reading.framing import frame
from holded_pipeline.reading.layout import layout_of
from holded_pipeline.store.compression import decompress

BOM = b"\xef\xbb\xbf"
STRINGS = st.text(max_size=8) | st.sampled_from(
    ["", '"', "\\", '\\"', "{", "}", "[", "]\n", "{\n", "x" * 90, "y" * 700]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats(-1, 1) | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(STRINGS, VALUES, max_size=4)
CUTS = st.lists(st.integers(0, 10_000), max_size=4)
PACKERS = {"plain": bytes, "gzip": lambda body: gzip.compress(body, mtime=0), "zstd": zstandard.compress}


def framed(body, cuts=(), key="raw/a.json", head_sizes=layout.SNIFF_BYTES):
    """The framed records; with small `head_sizes` a short text is sniffed like a long one."""
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    chunks = [body[start:end] for start, end in pairwise(places)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "SNIFF_BYTES", head_sizes)
        return list(frame(decompress(chunks), key=key))


@given(
    DOCUMENTS,
    st.sampled_from([None, 0, 1, 2, "\t", ""]),
    st.sampled_from(
        [(", ", ": "), (",", ":"), (",", ": "), ("\n,\n", "\n:\n"), (",\r\n", ":\r\n\r\n"), ("\r,", "\t:")]
    ),
    st.booleans(),
    st.sampled_from([b"", BOM, b"\n \r\n", BOM + b"\n", b"\n" + BOM]),
    st.sampled_from([b"", b"\n", b"\r\n\n"]),
    st.sampled_from(sorted(PACKERS)),
    CUTS,
    st.sampled_from([(1, 3, 9, 81, 1 << 20), (64, 512, 1 << 20), layout.SNIFF_BYTES]),
)
def test_a_document_is_one_record_however_it_is_formatted(
    document, indent, separators, ensure_ascii, before, after, form, cuts, head_sizes
):
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=ensure_ascii)
    body = PACKERS[form](before + text.encode() + after)
    (record,) = framed(body, cuts, head_sizes=head_sizes)
    assert json.loads(record.raw) == document
    assert record.fault is None
    assert record.line == before.count(b"\n") + 1


@given(
    st.lists(VALUES.filter(lambda value: value != []), min_size=1, max_size=4),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([b"", BOM, b"\n" + BOM]),
    CUTS,
    st.sampled_from([(1, 3, 9, 81, 1 << 20), layout.SNIFF_BYTES]),
)
def test_an_array_is_its_elements_however_it_is_formatted(values, indent, before, cuts, head_sizes):
    records = framed(before + json.dumps(values, indent=indent).encode(), cuts, head_sizes=head_sizes)
    assert [json.loads(record.raw) for record in records] == values
    assert [record.item for record in records] == list(range(1, len(values) + 1))


def shorter(line, at):
    return line[: 1 + at % (len(line) - 1)]


BREAKS = {
    "cut off": shorter,
    "cut off, then a comma": lambda line, at: shorter(line, at) + b",",
    "cut off, then an opened array": lambda line, at: shorter(line, at) + b"[",
    "cut off, then an opened object": lambda line, at: shorter(line, at) + b'"a": {',
    "a byte gone": lambda line, at: line[: at % len(line)] + line[at % len(line) + 1 :],
    "a quote too many": lambda line, at: line[: at % len(line)] + b'"' + line[at % len(line) :],
    "a bracket too many": lambda line, at: line[: at % len(line)] + b"}{["[at % 3 :][:1] + line[at % len(line) :],
    "rubbish": lambda _, at: [b"oops", b"{oops", b'{"a": oops', b'{"a": 1', b'{"a":', b'{"a": [', b"}", b"{", b'"'][
        at % 9
    ],
}


def is_json(line):
    try:
        json.loads(line.decode("utf-8", "surrogateescape"))
    except ValueError:
        return False
    return True


@given(
    st.lists(DOCUMENTS, min_size=1, max_size=7),
    st.integers(0, 6) | st.just(0),
    st.sampled_from(sorted(BREAKS)),
    st.integers(0, 2000),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \n"]),
    st.booleans(),
    st.sampled_from([b"", BOM, b"\n\n"]),
    CUTS,
    st.sampled_from([(1, 3, 9, 81, 1 << 20), (64, 512, 1 << 20), layout.SNIFF_BYTES]),
)
def test_a_broken_line_at_any_position_is_one_record_and_alters_no_other(
    documents, place, how, at, end, is_ended, before, cuts, head_sizes
):
    lines = [json.dumps(document).encode() for document in documents]
    place %= len(lines)
    lines[place] = BREAKS[how](lines[place], at)
    # An array of a line is framed by elements; two objects on the only line are two documents.
    assume(lines[place].strip() and lines[place][:1] != b"[" and not is_json(lines[place]))
    records = framed(before + end.join(lines) + end * is_ended, cuts, head_sizes=head_sizes)
    assert [record.raw for record in records] == lines
    first = before.count(b"\n") + 1
    assert [record.line for record in records] == [first + number * end.count(b"\n") for number in range(len(lines))]


@pytest.mark.parametrize("between", [b",\n", b" ,\r\n"])
@pytest.mark.parametrize("broken", range(3))
def test_an_array_with_an_element_a_line_may_have_any_of_them_broken(broken, between):
    elements = [b'{"a": 1}', b'{"a": 2}', b'{"a": 3}']
    elements[broken] = b'{"a": oops}'
    records = framed(b"[\n" + between.join(elements) + b"\n]")
    assert [(record.raw, record.item) for record in records] == [(raw, n) for n, raw in enumerate(elements, 1)]


@pytest.mark.parametrize("first", [b"{", b'{"a":', b'{"a": [', b'{"a": "', b'{"a": 1', b'{"a": 1,', b"[", b"oops"])
@pytest.mark.parametrize("size", [10, 70_000, 5_000_000])
def test_an_unclosed_first_line_does_not_include_the_lines_after_it(first, size):
    good = b'{"a": "%s"}' % (b"x" * size)
    records = framed(b"\n".join([first, good, good, good]))
    assert [record.raw for record in records[-3:]] == [good] * 3
    assert [record.line for record in records] == [1, 2, 3, 4]


@pytest.mark.parametrize("size", [10, 70_000, 5_000_000])
@pytest.mark.parametrize("form", sorted(PACKERS))
@pytest.mark.parametrize(
    "template",
    [
        '{\n  "pdf": "%s",\n  "a": 1\n}\n',
        '{"pdf": "%s",\n"a": 1}',
        '{"rows": [\n{"pdf": "%s"},\n{"pdf": ""}\n]}',
        '{"rows": [\n{"pdf": "%s"}\n]}',
        '{"rows":\n{"pdf": "%s"}\n}',
        '{\n"a": 1,\n"rows": [\n{},\n{}\n],\n"pdf": "%s"}',
    ],
)
def test_a_document_with_a_line_longer_than_the_head_is_one_record(template, form, size):
    text = (template % ("x" * size)).encode()
    assert [record.raw for record in framed(PACKERS[form](text))] == [text.strip()]


def test_a_broken_document_is_one_whole_record():
    text = b'{"rows": [\n{"a": 1},\n{"a": oops},\n{"a": 2}\n]}'
    assert [record.raw for record in framed(text)] == [text]
    assert [record.raw for record in framed(text[:30])] == [text[:30]]


def test_the_first_value_decides_between_documents_and_lines():
    printed = b'{\n"a": 1\n}'
    assert [record.raw for record in framed(printed + b'\n{"b": 2}\n{"c": 3}\n')] == [printed, b'{"b": 2}', b'{"c": 3}']
    assert [record.line for record in framed(b'{"b": 2}\n' + printed)] == [1, 2, 3, 4]


def test_the_first_line_may_be_an_array_in_a_file_of_lines():
    records = framed(b'[{"a": 1}, {"a": 2}]\n{"a": oops\n{"a": 3}\n')
    assert [(r.line, r.item, r.raw) for r in records] == [
        (1, 1, b'{"a": 1}'),
        (1, 2, b'{"a": 2}'),
        (2, None, b'{"a": oops'),
        (3, None, b'{"a": 3}'),
    ]


def test_an_array_on_one_line_is_framed_before_its_end_is_read():
    taken = 0

    def chunks():
        nonlocal taken
        yield b"["
        for _ in range(100):
            taken += 1
            yield b'{"a": 1}, ' * 10_000

    assert next(frame(chunks(), key="raw/a.json")).raw == b'{"a": 1}'
    assert taken == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1}\n' + BOM + b'{"a": 2}\n',
        b'{"a": 1}\n' + BOM + b'[{"a": 2}]\n',
        b'[{"a": 1}]\n' + BOM + b'[{"a": 2}]\n',
        b'{\n"a": 1\n}\n' + BOM + b'{"a": 2}\n' + BOM,
        b'[\n{"a": 1}\n]\n' + BOM + b'[\n{"a": 2}\n]\n',
        BOM + b"\n \n" + BOM + b'\n[{"a": 1},\n{"a": 2}]',
        BOM + b"\n" + BOM + b'{"a": 1}\n' + BOM + b'\n{"a": 2}\n' + BOM,
    ],
)
def test_files_with_a_byte_order_mark_may_be_concatenated(body):
    assert [decode(record.raw) for record in framed(body)] == [{"a": 1}, {"a": 2}]


def test_a_byte_order_mark_inside_a_record_is_kept():
    (record,) = framed(b"{" + BOM + b'"a": 1}')
    assert record.raw == b"{" + BOM + b'"a": 1}'


def test_a_whole_text_without_a_line_end_is_a_line_or_several_documents():
    assert layout_of(b'{"a": "' + b"x" * 100, "raw/a") == "lines"
    assert layout_of(b'{"a": 1}{"a": 2}{"a"', "raw/a") == "values"
    assert layout_of(b'{"a": 1}, {"a": 2}', "raw/a") == "lines"
