"""A file of the spool gives back what was written to it, or is recognized as damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.api.collecting.spool_file import DamagedGroupError, decode_group, encode_group

keys = st.text(max_size=60)
bodies = st.binary(max_size=300)


@given(keys, bodies)
def test_key_and_body_come_back_unaltered(key, body):
    assert decode_group(encode_group(key, body)) == (key, body)


@given(keys, bodies, st.data())
def test_a_file_that_ends_early_is_damaged(key, body, data):
    content = encode_group(key, body)
    with pytest.raises(DamagedGroupError):
        decode_group(content[: data.draw(st.integers(0, len(content) - 1))])


@given(keys, bodies, st.data())
def test_a_file_with_one_wrong_bit_is_damaged(key, body, data):
    content = bytearray(encode_group(key, body))
    position = data.draw(st.integers(0, len(content) * 8 - 1))
    content[position // 8] ^= 1 << position % 8
    with pytest.raises(DamagedGroupError):
        decode_group(bytes(content))


@given(keys, bodies, st.binary(min_size=1, max_size=20))
def test_a_file_with_more_behind_it_is_damaged(key, body, more):
    with pytest.raises(DamagedGroupError):
        decode_group(encode_group(key, body) + more)


def test_the_object_is_what_follows_the_second_line():
    assert encode_group("raw/a.jsonl", b'{"n":1}\n').split(b"\n", 2)[2] == b'{"n":1}\n'
