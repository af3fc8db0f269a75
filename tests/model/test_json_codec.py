"""JSON is kept unaltered, or rejected with a reason."""

from __future__ import annotations

import json
import time
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.json_codec import check_json_value, decode, decode_own, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = (
    st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)


def exact(text: str):
    """The reference: every number as the integer or the decimal that is written."""
    return json.loads(text, parse_float=Decimal)


def as_written(value):
    """The value with every float as the decimal that its shortest form writes."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list):
        return [as_written(member) for member in value]
    if isinstance(value, dict):
        return {name: as_written(member) for name, member in value.items()}
    return value


@given(VALUES)
def test_encoding_alters_no_value(value):
    assert exact(encode(value).decode()) == as_written(value)


@given(VALUES)
def test_decoding_what_was_encoded_gives_the_same_json_value(value):
    text = encode(value)
    assert exact(encode(decode(text)).decode()) == exact(text.decode())
    assert decode_own(text) == decode(text)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?", fullmatch=True))
def test_every_number_keeps_its_exact_value(text):
    assert Decimal(str(decode(text.encode()))) == Decimal(text)
    assert Decimal(encode(decode(text.encode())).decode()) == Decimal(text)


@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_formatting_and_escapes_make_no_difference(value, ensure_ascii, indent):
    plain = exact(encode(value).decode())
    text = json.dumps(json.loads(encode(value)), ensure_ascii=ensure_ascii, indent=indent)
    assert decode(text.encode()) == decode(encode(json.loads(encode(value))))
    assert decode(encode(plain)) == decode(encode(value))


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_rejected_with_a_reason(raw):
    try:
        value = decode(raw)
    except RejectRecord as error:
        rejection = error
    else:
        assert decode(encode(value)) == value
        return
    assert rejection.reason
    assert rejection.message


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": 1', "invalid_json"),
        (b'{"a": 1}{"b": 2}', "invalid_json"),
        (b"", "invalid_json"),
        (b"{'a': 1}", "invalid_json"),
        (b'{"a": 01}', "invalid_json"),
        (b'{"a": "\x01"}', "invalid_json"),
        (b'{"a": NaN}', "not_finite"),
        (b"[-Infinity]", "not_finite"),
        (b'{"a": "\xff"}', "invalid_utf8"),
        (rb'{"a": "\ud800"}', "lone_surrogate"),
        (rb'{"a": "x\udc00y"}', "lone_surrogate"),
        (b'{"a": "\xed\xa0\x80"}', "invalid_utf8"),
        (rb'{"a": "x\u0000"}', "nul_character"),
        (rb'{"x\u0000": 1}', "nul_character"),
        (b'{"a": 1, "a": 2}', "duplicate_name"),
        (b'{"a" : 1,"a":1,"b" :1}', "duplicate_name"),
        (rb'{"a": 1, "\u0061": 2}', "duplicate_name"),
        (rb'{"a": 1, "a": "\u003a"}', "duplicate_name"),
        (rb'{"b": {"a": 1, "a": "\u003A\u003a"}}', "duplicate_name"),
        (b"[" * 101 + b"]" * 101, "too_deep"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "too_deep"),
        (b"[" * 100_000, "too_deep"),
    ],
)
def test_what_cannot_be_kept_unaltered_is_rejected_with_its_reason(raw, reason):
    with pytest.raises(RejectRecord) as caught:
        decode(raw)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (rb'{"a": "\\u0000"}', {"a": "\\u0000"}),
        (rb'{"a": "\u003a", "b": ":"}', {"a": ":", "b": ":"}),
        (rb'{"a": "\ud83d\ude00"}', {"a": "😀"}),
        (b"[" * 100 + b"]" * 100, None),
        (b'"' + b"[" * 500 + b'"', "[" * 500),
        (b'{"a":"{\\"a\\":1}","b":1}', {"a": '{"a":1}', "b": 1}),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"0.1", 0.1),
        (b"1e400", Decimal("1e400")),
    ],
)
def test_valid_json_that_resembles_invalid_json_is_decoded(raw, value):
    decoded = decode(raw)
    assert value is None or decoded == value


def test_a_float_stays_a_float_where_it_is_exact():
    assert type(decode(b"12.50")) is float
    assert type(decode(b"0.1000000000000000055511151231257827")) is Decimal


@pytest.mark.parametrize(
    "value",
    [
        {"a": float("nan")},
        {"a": Decimal("Infinity")},
        {1: 2},
        {"a": {1}},
        {"a": b""},
        {"a": "\ud800"},
        {"\0": 1},
        object(),
    ],
)
def test_values_without_a_json_form_raise_type_error(value):
    with pytest.raises(TypeError):
        check_json_value(value)


def test_the_message_has_the_pointer_of_what_is_not_json():
    with pytest.raises(TypeError, match=r"set at /a/1/b"):
        check_json_value({"a": [0, {"b": set()}]})


def test_a_large_string_beside_many_brackets_takes_little_memory_to_check():
    raw = encode([[[]] * 200, "\\n" * 500_000])
    tracemalloc.start()
    try:
        decode(raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(raw)


def test_a_string_that_never_ends_is_rejected_in_linear_time():
    raw = b"[" * 101 + b'"' + b'\\"' * 1_000_000
    start = time.process_time()
    with pytest.raises(RejectRecord, match="nested more than"):
        decode(raw)
    assert time.process_time() - start < 5


def test_a_name_that_occurs_twice_is_found_among_many():
    # In quadratic time it would take a quarter of an hour.
    members = b",".join(b'"name%d":1' % number for number in range(200_000))
    with pytest.raises(RejectRecord, match="the name 'name199999' occurs twice"):
        decode(b'{%b,"name199999":2}' % members)


def test_a_message_repeats_only_the_beginning_of_a_name():
    name = b"n" * 1_000_000
    with pytest.raises(RejectRecord) as caught:
        decode(b'{"%b":1,"%b":2}' % (name, name))
    assert len(caught.value.message) < 200
