"""Any mixture of layouts, compressions and broken bytes: each record once, at a place of its own, however it is cut."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.reading.framing import frame
from holded_pipeline.store.compression import CODECS, checked_text

PIECES = st.sampled_from(
    [b'{"a":1}', b"[1,2]", b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"\n", b"\r", b" ", b"x", b'[{"a":"x},\n{"b":1}]',
     b'{\n"a":"x,\n"b":1\n}', b"\xef\xbb\xbf", b"\xff", b"\0", b"[,]", b"[1,,2]", b"\x0c"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=30).map(b"".join)
KEYS = st.sampled_from(["raw/a.jsonl", "raw/a.json", "raw/a"])
NOT_KEPT = b" \t\r\n[],\xef\xbb\xbf"


def cut(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@given(TEXTS, KEYS, st.integers(1, 40), st.sampled_from([10, 64 << 20]))
def test_records_have_places_of_their_own_and_do_not_depend_on_chunks(text, key, size, keep_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holded_pipeline.reading.scanned_text.KEEP_BYTES", keep_bytes)
        whole = [(r.line, r.item, r.raw, r.whole, str(r.fault)) for r in frame([text], key=key)]
        cuts = [(r.line, r.item, r.raw, r.whole, str(r.fault)) for r in frame(cut(text, size), key=key)]
    assert cuts == whole
    places = [place[:2] for place in whole]
    assert len(set(places)) == len(places)


@given(TEXTS, KEYS)
def test_each_visible_byte_is_in_one_record(text, key):
    kept = Counter(b"".join(record.raw for record in frame([text], key=key)))
    assert {byte: n for byte, n in kept.items() if byte not in NOT_KEPT} == {
        byte: n for byte, n in Counter(text).items() if byte not in NOT_KEPT
    }


@given(TEXTS, KEYS, st.sampled_from(sorted(CODECS)), st.integers(1, 500), st.booleans())
def test_a_compressed_text_has_the_records_of_the_text(text, key, codec, size, is_cut_off):
    compressor = CODECS[codec].compressor()
    packed = compressor.compress(text) + compressor.flush()
    if is_cut_off:
        packed = packed[:-1]
    try:
        read = b"".join(checked_text(lambda: iter(cut(packed, size))))
    except RejectRecord as fault:
        assert fault.reason == ("corrupt_compression" if is_cut_off else "unsupported_format")  # noqa: PT017
    else:
        assert read == text
        assert [record[:3] for record in frame([read], key=key)] == [record[:3] for record in frame([text], key=key)]
        assert not is_cut_off
