"""gzip and zstd are decompressed whole and in chunks of bounded size; damage is found wherever it is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import time
from functools import partial

import attrs
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.store import compression
from holded_pipeline.store.compression import (
    CODECS,
    checked_text,
    decompress,
    is_compressed,
    without_compression_ending,
)
from holded_pipeline.store.formats import HEAD_BYTES


def cut(body: bytes, step: int) -> list[bytes]:
    return [body[at : at + step] for at in range(0, len(body), step)]


def find_damage(chunks: list[bytes]) -> RejectRecord | None:
    try:
        checked_text(lambda: iter(chunks))
    except RejectRecord as fault:
        return fault
    return None


ENCODERS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": partial(lzma.compress, preset=0),
}


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.integers(1, 64),
    st.sampled_from(sorted(ENCODERS)),
)
def test_every_member_of_an_object_is_decompressed_however_it_is_cut(members, step, form):
    body = b"".join(ENCODERS[form](member) for member in members)
    if form == "plain" and is_compressed(body):
        return
    assert b"".join(decompress(cut(body, step))) == b"".join(members)


def skippable(number: int, text: bytes) -> bytes:
    return (0x184D2A50 + number).to_bytes(4, "little") + len(text).to_bytes(4, "little") + text


@given(
    st.lists(
        st.binary(max_size=300).map(lambda text: (ENCODERS["zstd"](text), text))
        | st.tuples(st.integers(0, 15), st.binary(max_size=2000)).map(lambda skipped: (skippable(*skipped), b"")),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 3000),
)
def test_skippable_zstd_frames_are_skipped_wherever_they_stand(frames, step):
    body = b"".join(frame for frame, _ in frames)
    assert is_compressed(body)
    assert b"".join(decompress(cut(body, step))) == b"".join(text for _, text in frames)


def test_a_skippable_zstd_frame_that_is_cut_off_is_damage():
    body = skippable(0, bytes(100))
    for size in (5, 8, 50, 107):
        assert find_damage([body[:size]]) is not None
    assert find_damage([body]) is None


@pytest.mark.parametrize("form", sorted(CODECS))
def test_a_decompression_bomb_gives_chunks_that_fit_in_memory(form):
    body = ENCODERS[form](bytes(80 << 20))
    largest = total = 0
    for chunk in decompress([body]):
        largest = max(largest, len(chunk))
        total += len(chunk)
    assert total == 80 << 20
    assert largest <= 32 << 20


@pytest.mark.parametrize("form", sorted(CODECS))
@pytest.mark.parametrize("position", [0.1, 0.5, 0.9, 0.999])
def test_a_byte_changed_or_missing_anywhere_is_found(form, position):
    generator = random.Random(7)
    body = ENCODERS[form](b"".join(b'{"n":%d}\n' % generator.getrandbits(64) for _ in range(5000)))
    at = int(len(body) * position)
    changed = body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :]
    assert find_damage([body]) is None
    for broken in (changed, body[:at]):
        fault = find_damage([broken])
        assert fault is not None
        assert fault.reason == "corrupt_compression"


def test_bytes_after_a_gzip_member_that_are_not_gzip_are_damage():
    with pytest.raises(RejectRecord, match="corrupt_compression"):
        list(decompress([gzip.compress(b"{}") + b"rubbish"]))


def test_zero_padding_after_a_gzip_member_is_not_damage():
    assert b"".join(decompress([gzip.compress(b"{}") + bytes(512)])) == b"{}"


@pytest.mark.parametrize("form", sorted(CODECS))
def test_a_large_value_is_decompressed_in_few_chunks(form):
    body = ENCODERS[form](random.Random(3).randbytes(5 << 19).hex().encode())
    assert sum(1 for _ in decompress(cut(body, 1 << 16))) <= 2
    chunks = decompress(cut(body[: len(body) // 2], 1 << 16))
    assert len(next(chunks)) > 1 << 20  # the text before the damage is decompressed
    with pytest.raises(RejectRecord):
        next(chunks)


def test_many_small_members_cost_no_more_each_than_a_few():
    member = gzip.compress(b"")

    def cost(members: int) -> float:
        began = time.process_time()
        assert find_damage([member * members]) is None
        return time.process_time() - began

    # 20 times as many: were the rest of the object copied for each member, it would be 400 times as much.
    assert cost(100_000) < 100 * cost(5_000)


@pytest.fixture
def decompressions(monkeypatch):
    """The codecs that decompressed something, each time one did."""
    done = []

    def counting(name, codec):
        def decompress_and_count(chunks):
            done.append(name)
            return codec.decompress(chunks)

        return attrs.evolve(codec, decompress=decompress_and_count)

    monkeypatch.setattr(compression, "CODECS", {name: counting(name, codec) for name, codec in CODECS.items()})
    return done


@pytest.mark.parametrize("form", sorted(CODECS))
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_text_that_fits_in_memory_is_decompressed_once_and_a_larger_one_twice(decompressions, form, beyond):
    text = b"a" * ((8 << 20) + beyond)
    compressed = ENCODERS[form](text)
    opened = []

    def open_chunks():
        opened.append(form)
        return iter(cut(compressed, 1 << 14))

    chunks = list(checked_text(open_chunks))
    assert b"".join(chunks) == text
    assert len(opened) == len(decompressions) == 1 + beyond
    assert all(chunks)


def test_a_text_that_is_not_compressed_is_not_held():
    chunks = iter([b"a" * HEAD_BYTES, b"b", b"c"])
    text = checked_text(lambda: chunks)
    assert next(text) == b"a" * HEAD_BYTES
    assert list(chunks) == [b"b", b"c"]


def test_of_an_object_without_a_byte_there_is_no_text():
    assert b"".join(checked_text(lambda: iter(()))) == b""


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        ("raw/a.jsonl.gz", "raw/a.jsonl"),
        ("raw/a.JSONL.GZ", "raw/a.JSONL"),
        ("raw/a.zst", "raw/a"),
        ("raw/a.json", "raw/a.json"),
        ("raw/gz", "raw/gz"),
        (".gz", ""),
        ("", ""),
    ],
)
def test_a_key_loses_the_ending_of_its_codec_and_nothing_else(key, plain):
    assert without_compression_ending(key) == plain
