"""Objects are due by size, by age, and when all of them together grow too large; no line is lost on the way."""

from __future__ import annotations

import gzip
import random

import pytest
import zstandard

from holded_pipeline.store.object_buffers import ObjectBuffers

DECODERS = {
    None: bytes,
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


def buffers(compression="gzip", **settings) -> ObjectBuffers:
    defaults = {"object_bytes": 1 << 30, "object_seconds": 1e9, "total_bytes": 1 << 30}
    return ObjectBuffers(compression, **(defaults | settings))


def random_line() -> bytes:
    return random.Random(1).randbytes(50_000).hex().encode()


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_every_line_stands_in_the_object_of_its_place(compression):
    held = buffers(compression)
    for number in range(100):
        assert not list(held.add(number % 3, b"%d" % number, None, 0.0))
    lines = {done.destination: DECODERS[compression](done.body).split() for done in held.finish()}
    assert lines == {place: [b"%d" % n for n in range(place, 100, 3)] for place in range(3)}


def test_an_object_is_due_at_its_size():
    held = buffers(object_bytes=40_000)
    due = [done for _ in range(6) for done in held.add("p", random_line(), None, 0.0)]
    assert due
    assert all(len(done.body) >= 40_000 for done in due)


def test_an_object_is_due_at_its_age_when_any_element_comes():
    held = buffers(object_seconds=60)
    assert not list(held.add("old", b"1", None, 0.0))
    assert not list(held.add("new", b"2", None, 59.0))
    assert [done.destination for done in held.add("new", b"3", None, 60.0)] == ["old"]


def test_many_places_do_not_hold_more_than_all_may_together():
    held = buffers(total_bytes=2 << 20)
    due = [done.destination for place in range(100) for done in held.add(place, b"x", None, 0.0)]
    still_open = [done.destination for done in held.finish()]
    assert sorted(due + still_open) == list(range(100))
    assert len(still_open) <= 7


def test_equal_lines_make_equal_bytes():
    def body() -> bytes:
        held = buffers()
        assert not list(held.add("p", b'{"a":1}', None, 0.0))
        return next(iter(held.finish())).body

    assert body() == body()
