"""Objects are due by size, by age, and when all of them together are too large; no line is lost."""

from __future__ import annotations

import gzip
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from event_factory import make_event

from holded_pipeline.store.object_buffers import ObjectBuffers

DECODERS = {
    None: bytes,
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


def make_buffers(compression="gzip", **settings) -> ObjectBuffers:
    defaults = {"object_bytes": 1 << 30, "object_seconds": 1e9, "total_bytes": 1 << 30}
    return ObjectBuffers(compression, **(defaults | settings))


def random_line() -> bytes:
    return random.Random(1).randbytes(50_000).hex().encode()


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_every_line_is_in_the_object_of_its_destination(compression):
    buffers = make_buffers(compression)
    for number in range(100):
        assert not list(buffers.add(number % 3, b"%d" % number, None, 0.0))
    lines = {done.destination: DECODERS[compression](done.body).split() for done in buffers.finish()}
    assert lines == {destination: [b"%d" % n for n in range(destination, 100, 3)] for destination in range(3)}


def test_an_object_is_due_at_its_size():
    buffers = make_buffers(object_bytes=40_000)
    due = [done for _ in range(6) for done in buffers.add("p", random_line(), None, 0.0)]
    assert due
    assert all(len(done.body) >= 40_000 for done in due)


@pytest.mark.parametrize("object_bytes", [5_000, 50_000])
def test_an_object_is_hardly_larger_than_its_size_if_lines_compress_well(object_bytes):
    numbers = random.Random(1)
    buffers = make_buffers(object_bytes=object_bytes)
    lines = (b'{"name":"the same in each","n":%d}' % numbers.getrandbits(64) for _ in range(20_000))
    due = [done for line in lines for done in buffers.add("p", line, None, 0.0)]
    assert len(due) > 3
    assert max(len(done.body) for done in due) < 2 * object_bytes


def test_an_old_object_is_due_when_an_element_of_any_other_is_added():
    buffers = make_buffers(object_seconds=60)
    assert not list(buffers.add("old", b"1", None, 0.0))
    assert not list(buffers.add("new", b"2", None, 59.0))
    assert [done.destination for done in buffers.add("new", b"3", None, 60.0)] == ["old"]


@pytest.mark.parametrize(("line_bytes", "most_open"), [(200_000, 10), (300_000, 7)])
def test_many_destinations_have_no_more_bytes_than_all_may_together(line_bytes, most_open):
    buffers = make_buffers(total_bytes=2 << 20)
    line = b"x" * line_bytes  # less than a block, or more
    due = [done.destination for destination in range(100) for done in buffers.add(destination, line, None, 0.0)]
    still_open = [done.destination for done in buffers.finish()]
    assert sorted(due + still_open) == list(range(100))
    assert len(still_open) <= most_open


def test_equal_lines_make_equal_bytes():
    def body() -> bytes:
        buffers = make_buffers()
        assert not list(buffers.add("p", b'{"a":1}', None, 0.0))
        return next(iter(buffers.finish())).body

    assert body() == body()


def test_lines_that_come_together_are_all_stored_and_end_their_objects():
    lines = [b"%04d" % number for number in range(100)]
    buffers = make_buffers(None, object_bytes=50)
    due = list(buffers.add_lines("p", lines, [None] * 100, 0.0))
    assert [done.records for done in due] == [10] * 10
    assert b"".join(done.body for done in due).split() == lines
    assert list(buffers.finish()) == []


class SlowExecutor(ThreadPoolExecutor):
    """Begins each job a bit later, so that lines are added meanwhile."""

    def submit(self, function, /, *arguments):
        return super().submit(lambda: (time.sleep(0.005), function(*arguments)))


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_objects_are_the_same_whatever_thread_compresses(compression):
    lines = [random.Random(number).randbytes(40_000).hex().encode() for number in range(100)]
    events = [make_event(number) for number in range(100)]

    def objects(executor) -> list[tuple[bytes, int, str | None]]:
        buffers = make_buffers(compression, object_bytes=1 << 20, executor=executor)
        due = [each for line, event in zip(lines, events, strict=True) for each in buffers.add("p", line, event, 0.0)]
        return [(each.body, each.records, each.identity.digest()) for each in [*due, *buffers.finish()]]

    with ThreadPoolExecutor(1) as quick, SlowExecutor(1) as slow:
        beside, later = objects(quick), objects(slow)
    assert beside == later
    assert len(beside) > 2
    bodies = [body for body, _, _ in beside]
    assert b"".join(DECODERS[compression](body) for body in bodies).split() == lines
    assert max(map(len, bodies)) < (1 << 20) + 3 * (256 << 10)
