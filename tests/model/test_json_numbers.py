"""What numbers grow to when they are written out is bounded: one by one, and for a whole document."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.json_numbers import growth_for, written_digits
from holded_pipeline.reading.envelopes import flat
from holded_pipeline.reading.records import RecordReader

TOO_LONG = (
    "9" * 4_301,
    "-" + "9" * 4_301,
    "9" * 4_301 + ".5",
    "0." + "3" * 262_145,
    *("1e4300", "1E+4300", "-1.5e4300", "1e131071", "1e999999", "1e-999999", "1e-262145", "12345e4296"),
    *("1e99999999999999999999", "1e-99999999999999999999", "1E+0000000000000000000001", "0e99999999999999999999"),
)
KEPT = (
    "9" * 4_300,
    "-" + "9" * 4_299,
    "0." + "3" * 10_000,
    "1e4299",
    "12345e4295",
    "1e-9999",
    "1e-262144",
    "1.5e308",
    "123456789e-290",
    "9.99999999e290",
    "4.9e-324",
    "1e+5",
    "0e1",
    "0.1",
    "-0.0",
)


@pytest.mark.parametrize("number", TOO_LONG)
@pytest.mark.parametrize("text", ["%s", '{"a":[%s]}', '{"a":%s,"b":1}'])
def test_a_number_that_takes_too_many_digits_is_rejected(number, text):
    with pytest.raises(RejectRecord, match="4,300 digits before its point .*, or 262,144 behind it") as caught:
        json_codec.decode((text % number).encode())
    assert caught.value.reason == "number_too_large"
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("number", KEPT)
def test_a_number_up_to_the_limit_is_kept_to_the_last_digit(number):
    value = json_codec.decode(number.encode())
    assert Decimal(number) == (value if isinstance(value, int) else Decimal(str(value)))
    assert json_codec.decode(json_codec.encode(value)) == value


@pytest.mark.parametrize("number", ["1e-16383", "1e4299", "1e1000"])
@pytest.mark.parametrize("around", [0, 10_000, 10_000_000])
def test_the_numbers_of_a_document_are_added_up(number, around):
    def document(count):
        return f'["{"x" * around}",{",".join([number] * count)}]'.encode()

    growth = written_digits(number) - len(number)
    size = around + len('["",]')
    most = next(n for n in itertools.count() if growth * (n + 1) > growth_for(size + (n + 1) * (len(number) + 1) - 1))
    assert len(json_codec.decode(document(most))) == most + 1
    with pytest.raises(RejectRecord, match=r"its numbers take over [0-9,]+ digits more") as caught:
        json_codec.decode(document(most + 1))
    assert caught.value.reason == "number_too_large"
    assert len(json_codec.decode(document(most))) == most + 1  # each document by itself


@pytest.mark.parametrize("size", [1, 1_000, 1 << 20, 16 << 20, 64 << 20])
def test_what_a_document_grows_to_depends_on_its_size(size):
    assert growth_for(size) <= min(64 * size + 16_384, 16 << 20)


@pytest.mark.parametrize("number", ["1e308", "-5e-324", "2.2250738585072014e-308"])
def test_numbers_that_fit_a_double_are_never_too_many_in_a_quarter_of_a_megabyte(number):
    text = f"[{','.join([number] * ((1 << 18) // (len(number) + 1)))}]".encode()
    assert set(json_codec.decode(text)) == {float(number)}


def test_what_postgresql_rejects_anyway_is_not_added_up():
    assert json_codec.decode(b"[" + b"1e-20000," * 100 + b"1]")[0] == Decimal("1e-20000")


@pytest.mark.parametrize("value", [{"n": Decimal("1e4300")}, [Decimal("1e-999999")], [10**4_300]])
def test_a_number_that_code_made_is_bounded_too(value):
    for check in (json_codec.check_json_value, json_codec.encode_checked):
        with pytest.raises((TypeError, ValueError), match="digits|limit"):
            check(value)
    with pytest.raises(TypeError, match="digits|limit|kept"):
        json_codec.plain_copy(value, max_bytes=1 << 20)


def test_so_are_all_numbers_of_a_value_that_code_made():
    numbers = [Decimal("1e4299")] * 9_000
    with pytest.raises(TypeError, match="its numbers take over 16,777,216 digits more"):
        json_codec.plain_copy({"n": numbers}, max_bytes=1 << 20)
    for check in (json_codec.check_json_value, json_codec.encode_checked):
        check({"n": numbers})  # it may be made of several documents
        with pytest.raises(TypeError, match="its numbers take over 268,435,456 digits more"):
            check({"n": numbers * 7})


def test_so_are_floats():
    with pytest.raises(TypeError, match="its numbers take over 268,435,456 digits more"):
        json_codec.encode_checked([1e308] * 900_000)


@given(st.integers(-(10**30), 10**30), st.integers(-400, 400))
def test_the_digits_are_those_of_the_number_written_out(mantissa, exponent):
    text = f"{mantissa}e{exponent}"
    written = f"{Decimal(text):f}"
    assert written_digits(text) == sum(character.isdigit() for character in written) or mantissa == 0


@pytest.mark.parametrize("max_depth", [0, -1, 501, 5_000])
def test_a_depth_that_cannot_be_decoded_is_refused_at_once(max_depth):
    with pytest.raises(ValueError, match="max_depth must be from 1 to 500"):
        RecordReader(flat, max_record_bytes=1, max_depth=max_depth)


@pytest.mark.parametrize("frames", [0, 300])
def test_the_largest_depth_can_be_decoded_within_many_calls(frames):
    def nested(levels):
        return nested(levels - 1) if levels else json_codec.decode(b"[" * 500 + b"]" * 500, max_depth=500)

    value = nested(frames)
    assert json_codec.encode(value) == b"[" * 500 + b"]" * 500
