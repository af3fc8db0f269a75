"""A body is split into its events: none is altered, and a broken one is rejected by itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.api.collecting import package_parsing
from holded_pipeline.api.collecting.package_parsing import Message, RejectedMessage, parse_package, stored_line
from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Limits
from holded_pipeline.model import json_codec

LIMITS = Limits()
spaces = st.text(" \n\r\t", max_size=3)
integers = st.integers(-(10**40), 10**40).map(str)
decimals = st.from_regex(r"-?(0|[1-9][0-9]{0,25})\.[0-9]{1,25}", fullmatch=True)
exponents = st.from_regex(r"-?[1-9](\.[0-9]{1,8})?[eE][+-]?[0-9]{1,3}", fullmatch=True)
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
strings = st.tuples(st.text(letters, max_size=8), st.booleans()).map(lambda s: json.dumps(s[0], ensure_ascii=s[1]))
scalars = st.one_of(integers, decimals, exponents, strings, st.sampled_from(["true", "false", "null"]))


@st.composite
def objects(draw, depth=2):
    """The text of an object, with any white space between its tokens."""
    names = draw(st.lists(st.text(letters, max_size=6), max_size=4, unique=True))
    members = []
    for name in names:
        value = draw(objects(depth=depth - 1) if depth and draw(st.booleans()) else scalars)
        members.append(f"{draw(spaces)}{json.dumps(name)}{draw(spaces)}:{draw(spaces)}{value}{draw(spaces)}")
    return "{" + ",".join(members) + draw(spaces) + "}"


def line_of(message):
    assert isinstance(message, Message)
    return stored_line(message, event_id="e", correlation_id="c", received_at="2026-11-24T00:00:00+00:00")


@given(st.lists(objects(), min_size=1, max_size=4), spaces)
def test_a_document_is_stored_byte_for_byte_except_line_ends(texts, space):
    body = f"{space}[{space}{f'{space},'.join(texts)}{space}]{space}".encode()
    found = list(parse_package(body, "json", LIMITS))
    assert len(found) == len(texts)
    for each, text in zip(found, texts, strict=True):
        line = line_of(each)
        assert line.count(b"\n") == 1
        assert line.endswith(b'"event":' + text.replace("\n", " ").replace("\r", " ").encode() + b"}\n")
        document = json_codec.decode(line)
        assert document["event"] == json_codec.decode(text.encode())


@given(st.lists(objects().map(lambda text: text.replace("\n", " ")), min_size=1, max_size=4))
def test_lines_are_stored_as_elements_of_an_array_are(texts):
    lines = list(parse_package("\n".join(texts).encode(), "lines", LIMITS))
    array = list(parse_package(f"[{','.join(texts)}]".encode(), "json", LIMITS))
    assert [json_codec.decode(line_of(each)) for each in lines] == [json_codec.decode(line_of(each)) for each in array]


def test_concatenated_files_with_byte_order_marks_are_read():
    body = b'\xef\xbb\xbf{"n":1}\n\xef\xbb\xbf{"n":2}\r\n\xef\xbb\xbf[\xef\xbb\xbf{"n":3}]\n\xef\xbb\xbf'
    lines = [line_of(each) for each in parse_package(body, "lines", LIMITS)]
    assert [json.loads(line)["event"] for line in lines] == [{"n": 1}, {"n": 2}, {"n": 3}]


@given(st.lists(st.one_of(objects(), scalars, st.sampled_from(['{"a":NaN}', '{"a" 1}', '{"a":1,"a":2}'])), max_size=6))
def test_splitting_step_by_step_finds_the_same_events(texts):
    """A broken element at the end sends every array the slow way; the result for those before it is the same."""
    slow = list(parse_package(f"[{','.join([*texts, 'nothing'])}]".encode(), "json", LIMITS))
    for text, found in zip(texts, slow, strict=False):
        (alone,) = parse_package(text.encode(), "json", LIMITS)
        assert type(found) is type(alone)
        if isinstance(found, Message):
            assert found.raw == text.encode()
        else:
            assert found.fault.reason == alone.fault.reason
    assert isinstance(slow[-1], RejectedMessage)


def test_numbers_keep_every_digit():
    body = b'{\n "a": 1.10,\n "b": 1000000000000000000000000000000,\n "c": 0.1234567890123456789 }'
    line = line_of(*parse_package(body, "json", LIMITS))
    assert b'{  "a": 1.10,  "b": 1000000000000000000000000000000,  "c": 0.1234567890123456789 }' in line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":NaN}', "not_finite"),
        (b'{"a":1,"a":2}', "duplicate_name"),
        (b'{"a":"\\u0000"}', "nul_character"),
        (b'{"a":"\\ud800"}', "lone_surrogate"),
        (b'{"a":"\xe9"}', "invalid_utf8"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "too_deep"),
        (b'{"a" 1}', "invalid_json"),
        (b'"a text"', "not_an_object"),
    ],
)
def test_an_invalid_event_is_rejected_by_itself(text, reason):
    good, bad, other = parse_package(b'[{"n":1},' + text + b',{"n":2}]', "json", LIMITS)
    assert bad.fault.reason == reason
    assert bad.index == 1
    assert (good.document, other.document) == ({"n": 1}, {"n": 2})


def test_the_pipeline_reads_the_deepest_accepted_document():
    (found,) = parse_package(b'{"a":' + b"[" * 98 + b"]" * 98 + b"}", "json", LIMITS)
    json_codec.decode(line_of(found))


def test_a_too_large_event_is_rejected_by_itself():
    small, large = parse_package(b'[{"n":1},{"n":"' + b"x" * 100 + b'"}]', "json", Limits(event_bytes=50))
    assert isinstance(small, Message)
    assert large.fault.reason == "record_too_large"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b" \n", "empty_body"),
        (b'[{"a":1}', "invalid_json"),
        (b'{"a":1', "invalid_json"),
        (b"[{},,{}]", "invalid_json"),
        (b"[{},]", "invalid_json"),
        (b'{"a":1}{"b":2}', "several_values"),
        (b"[{}][{}]", "several_values"),
        (b"[{}]]", "several_values"),
        ('{"a":1}'.encode("utf-16"), "invalid_json"),
        (b"// a comment\n{}", "invalid_json"),
    ],
)
def test_a_body_that_is_not_a_package_is_rejected_as_a_whole(body, code):
    with pytest.raises(Problem) as raised:
        list(parse_package(body, "json", LIMITS))
    assert (raised.value.status, raised.value.code) == (400, code)


@pytest.mark.parametrize("body", [b"[" * 5_000_000, b'{"a":' * 1_000_000, b"[{" + b"]," * 5_000_000])
@pytest.mark.parametrize("layout", ["json", "lines"])
def test_a_body_that_takes_too_long_to_split_is_rejected(body, layout, monkeypatch):
    monkeypatch.setattr(package_parsing, "_CPU_SECONDS", 0.0)
    with pytest.raises(Problem) as refused:
        list(parse_package(body, layout, LIMITS))
    assert (refused.value.status, refused.value.code) == (413, "too_costly")


@pytest.mark.parametrize("body", [b"[}", b"[,]", b"[" + b"," * 1_000_001 + b"]"])
def test_a_broken_array_without_any_element_is_rejected(body):
    with pytest.raises(Problem) as refused:
        list(parse_package(body, "json", LIMITS))
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("element", [b"{}", b"1", b"{]"])
def test_an_array_with_too_many_elements_is_not_split(element):
    with pytest.raises(Problem) as raised:
        list(parse_package(b"[" + b",".join([element] * 100_000) + b"]", "json", Limits(events=10)))
    assert raised.value.status == 413


@pytest.mark.parametrize("headers", ["headers", "attributes"])
@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: {"id": text}])
def test_the_event_id_comes_from_the_message_id_in_any_form(headers, wrap):
    stamp = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\MessageIdStamp"
    body = json.dumps({"data": {}, headers: {stamp: wrap("7F3E0C9B-7E18-4A2A-8000-3C5D7E9F1A2B")}}).encode()
    (found,) = parse_package(body, "json", LIMITS)
    assert found.event_id == "7f3e0c9b-7e18-4a2a-8000-3c5d7e9f1a2b"


@pytest.mark.parametrize("document", [{}, {"headers": []}, {"headers": {}}, {"data": {}, "headers": {"type": "t"}}])
def test_a_document_that_fits_no_envelope_has_no_event_id(document):
    (found,) = parse_package(json.dumps(document).encode(), "json", LIMITS)
    assert isinstance(found, Message)
    assert found.event_id is None


@pytest.mark.parametrize(
    "number", ["1e999999", "1e99999999999999999999", "9" * 4_301, f"[{','.join(['1e4299'] * 9_000)}]"]
)
def test_a_number_that_is_huge_when_it_is_written_out_is_rejected_at_the_door(number):
    bomb, message = parse_package(f'[{{"n":{number}}},{{"n":1e3}}]'.encode(), "json", LIMITS)
    assert isinstance(bomb, RejectedMessage)
    assert bomb.fault.reason == "number_too_large"
    assert isinstance(message, Message)
