"""The quick way to read a message gives what the careful way gives, or leaves the record to it."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.compiled import compiled
from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import ReadObject, data_of, data_text, metadata_text, source_text
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.model.json_numbers import FEW_BYTES, doubles_may_grow
from holded_pipeline.reading.common_message import read_common_message
from holded_pipeline.reading.envelopes import holded
from holded_pipeline.reading.framed_records import Lines, Record
from holded_pipeline.reading.holded_envelope import CONTEXT, MESSAGE_ID, TIMESTAMP
from holded_pipeline.reading.records import RecordReader

OBJECT = ReadObject("lake", 'raw/"a".jsonl', "e1")
IDS = PackageIds(OBJECT.bucket, OBJECT.key, OBJECT.etag)
SOURCE = hp.Source(OBJECT.bucket, OBJECT.key, OBJECT.etag, 3)
HEADERS = {
    "type": "T",
    CONTEXT: {"accountId": "c1", "userId": "u1"},
    TIMESTAMP: {"dispatchedAt": 1718031415926},
    MESSAGE_ID: {"id": "0f8fad5b-d9cb-469f-a165-70867728950e"},
}
CAREFUL = RecordReader(partial(holded), max_record_bytes=1 << 24, max_depth=100)


IN_C = compiled("common_message")
WAYS = [read_common_message, *([IN_C.read_common_message] if IN_C else [])]


def quick(raw: bytes, max_depth: int = 100):
    """The event that the quick ways give, in Python and in C; None if none of them reads the record."""
    found = []
    for way in WAYS:
        event = way(raw, (OBJECT, 3, None), IDS, max_depth)
        if event is not None:
            found.append((event, data_text(event), metadata_text(event), source_text(event)))
            assert found[0][2:] == found[-1][2:]
            assert found[0][0] == event
    return found[0][0] if found else None


def careful(raw: bytes):
    """The event, or the reason of the rejection; read by an envelope that is not known to have a quick way."""
    try:
        return CAREFUL.read(Record(raw, 3), SOURCE)
    except RejectRecord as rejection:
        return rejection.reason


def assert_same(raw: bytes) -> hp.Event | None:
    quick(raw)  # which compares the ways
    event = None
    for way in WAYS:
        event = way(raw, (OBJECT, 3, None), IDS, 100)
        if event is not None:
            texts = [data_text(event), metadata_text(event), source_text(event)]
            expected = careful(raw)
            assert repr(data_of(event)) == repr(expected.data)
            assert event == expected
            assert [json_codec.decode(text) for text in texts] == [
                expected.data,
                expected.metadata,
                hp_source(expected),
            ]
            assert not any(re.search(rb"[\n\r\t]", text) for text in texts)
    return event  # of the last way: of the one in C if it is built


def hp_source(event: hp.Event):
    return {name: getattr(event.source, name) for name in ("bucket", "key", "etag", "line", "item")}


def written(document) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


NAMES = st.sampled_from(["id", "a:b", "currency", "é", "a\nb", '"', "data", "headers", ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([":", "\0", "\u2028", "1718031415926", "2026-01-02T03:04:05Z", " ", "x" * 256])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
KEYS = st.just("k1") | SCALARS | st.dictionaries(st.sampled_from(["id", "dispatchedAt"]), SCALARS, max_size=2)


@st.composite
def messages(draw):
    headers = dict(HEADERS)
    for name in draw(st.sets(st.sampled_from(sorted(HEADERS)), max_size=2)):
        headers[name] = draw(KEYS | VALUES)
    if draw(st.booleans()):
        headers[CONTEXT] = {"accountId": draw(KEYS), **draw(st.dictionaries(st.just("userId"), KEYS))}
    headers |= draw(st.dictionaries(NAMES, VALUES, max_size=1))
    document = {"data": draw(st.dictionaries(NAMES, VALUES, max_size=4) | SCALARS)}
    document[draw(st.sampled_from(["headers", "attributes"]))] = headers
    wrapper = draw(
        st.dictionaries(
            st.sampled_from(["event_id", "correlation_id", "received_at", "sender", "other"]), KEYS, max_size=3
        )
    )
    return {**wrapper, "event": document} if draw(st.booleans()) else {**wrapper, **document}


@st.composite
def texts(draw):
    """A message in JSON of any style, with a change here and there."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (",\t", " :"), (",\r", ":\r")]))
    text = json.dumps(
        draw(messages()),
        ensure_ascii=draw(st.booleans()),
        separators=separators,
        indent=draw(st.sampled_from([None, None, 1])),
    )
    if draw(st.integers(0, 3)) == 0:
        changes = [
            ('"data":', '"data":{},"data":'), ('"headers":', '"headers":null,"headers":'), ('"id"', '"id":1,"id"'),
            (":", "\\u003a"), ("1", "1.00000000000000000001"), ("1", "1e400"), ("a", "\\u0000"), ("a", "\\ud800"),
            ("c1", "c1\\u003A"), ("}", "}}"), ("{", "{{"), ("e", "\x01"), ('"accountId"', '"accountId":7,"accountId"'),
        ]  # fmt: skip
        text = text.replace(*draw(st.sampled_from(changes)), draw(st.integers(1, 2)))
    raw = text.encode("utf-8", "surrogatepass")
    return raw.replace(b"a", draw(st.sampled_from([b"a", b"\xff", b"\xc3\xa9"])), 1)


@given(texts())
def test_the_quick_way_gives_what_the_careful_way_gives(raw):
    assert_same(raw)


@pytest.mark.parametrize("wrapped", [0.0, 1.0])
def test_sample_events_are_read_the_quick_way(wrapped):
    samples = hp.testing.sample_events(300, seed=3, wrapped=wrapped)
    assert [sample for sample in samples if assert_same(sample.line) is None] == []


def test_faulty_samples_are_never_read_the_quick_way():
    for sample in hp.testing.sample_events(300, seed=3, faults=1 - 1 / 300):
        event = assert_same(sample.line)
        assert event is None or sample.fault is None or sample.fault.stage != "read"


@pytest.mark.parametrize(
    "text",
    [
        '{"data":{"a":1,"a":":"},"headers":%s}',
        '{"data":{"a":1,"a":"\\u003a"},"headers":%s}',
        '{"data":{"a":{"b":1,"b":2}},"headers":%s}',
        '{"data":{"a":":"},"data":{},"headers":%s}',
        '{"event_id":"\\u003a","data":{"a":1,"a":2},"headers":%s}',
        '{"correlation_id":"k","correlation_id":"k","data":{},"headers":%s}',
        '{"data":{"a":"\\u0000"},"headers":%s}',
        '{"data":{"a":NaN},"headers":%s}',
        '{"data":{"a":"\\ud800"},"headers":%s}',
        '{"data":%s,"headers":%%s}' % ('{"a":' * 100 + "1" + "}" * 100),
        '{"data":{"a":%s},"headers":%%s}' % ("[" * 99 + "]" * 99),
        "\ufeff" + '{"data":{},"headers":%s}',
        '{"data":{},"headers":%s,"other":1}',
        '{"sender":"shop","data":{},"headers":%s}',
        '{"sender":"shop","event":{"sender":"forged","data":{},"headers":%s}}',
        '{"data":[],"headers":%s}',
        '{"event":{"data":{},"headers":%s},"data":{}}',
        '{"data":{},"headers":%s} x',
    ],
)
def test_what_has_to_be_looked_at_closely_is_left_to_the_careful_way(text):
    assert quick((text % written(HEADERS).decode()).encode()) is None


def test_a_limit_of_the_depth_holds_for_the_quick_way():
    raw = written({"data": {"a": {"b": [1]}}, "headers": HEADERS})
    assert quick(raw, max_depth=3) is None
    assert read_common_message(raw, (OBJECT, 3, None), IDS, max_depth=4) is None  # it has more brackets than that
    assert quick(raw, max_depth=4) == (careful(raw) if IN_C else None)
    assert quick(raw) == careful(raw)


def test_the_bytes_of_the_data_are_those_that_were_sent():
    data = b'{ "amount" : 1.50, "name": "\\u00e9\\/", "n":1E5 }'
    event = quick(b'{"data":%b,"headers":%b}' % (data, written(HEADERS)))
    assert data_text(event) == data
    assert event.data == {"amount": 1.5, "name": "é/", "n": 1e5}


def test_long_numbers_are_exact_when_somebody_looks():
    event = quick(b'{"data":{"n":1.000000000000000000001,"i":%d},"headers":%b}' % (10**40, written(HEADERS)))
    assert event.data == {"n": Decimal("1.000000000000000000001"), "i": 10**40}


def test_a_value_that_equals_a_known_key_is_no_key():
    """`1 == True == 1.0`: whichever comes first must not let the others through."""
    for first, others in ((1, (True, 1.0)), ("x", ())):
        for value in (first, *others, first):
            for place in ("accountId", "userId"):
                message = {"data": {}, "headers": HEADERS | {CONTEXT: HEADERS[CONTEXT] | {place: value}}}
                assert (quick(written(message)) is None) == (value in others and type(value) is not int)
                assert_same(written(message))


def lines_reader(**limits) -> RecordReader:
    return RecordReader(holded, **{"max_record_bytes": 1 << 24, "max_depth": 100} | limits)


def test_lines_above_the_limit_are_left_to_the_careful_way():
    raws = [written({"data": {"x": "y" * size}, "headers": HEADERS}) for size in (10, 1_000)]
    read = lines_reader(max_record_bytes=900).read_common_lines(Lines(raws, 1), OBJECT, IDS)
    assert [event is None for event in read] == [False, True]


def test_large_lines_whose_numbers_may_grow_are_left_to_the_careful_way():
    headers = json.dumps(HEADERS).encode()
    large = b'{"data":{"n":[%b]},"headers":%b}' % (b",".join([b"1e300"] * 50_000), headers)
    few = b'{"data":{"n":[%b]},"headers":%b}' % (b",".join([b"1e300"] * 5), headers)
    plain = b'{"data":{"n":[%b]},"headers":%b}' % (b",".join([b"1.5"] * 80_000), headers)
    assert len(large) > FEW_BYTES < len(plain)
    read = lines_reader().read_common_lines(Lines([large, few, plain], 1), OBJECT, IDS)
    assert [event is None for event in read] == [True, False, False]
    assert not doubles_may_grow(large[:FEW_BYTES])
    assert doubles_may_grow(large)
