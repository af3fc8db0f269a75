"""The beginning of a unit is read before its turn, once, and whatever is not asked for is forgotten."""

from __future__ import annotations

import gc
import weakref

import pytest

import holded_pipeline as hp
from holded_pipeline.store.client import CHUNK_BYTES, ObjectStore
from holded_pipeline.store.read_ahead import ReadAhead
from holded_pipeline.store.read_plan import ReadUnit, Slice
from holded_pipeline.transforms.beam.store_access import StoreDoFn

LARGE = ReadUnit((Slice("large", "e", 3 * CHUNK_BYTES, 5, 2 * CHUNK_BYTES),))
SMALL = ReadUnit((Slice("a", "e", 10), Slice("b", "e", 20)))
TOGETHER_LARGE = ReadUnit((Slice("a", "e", CHUNK_BYTES), Slice("b", "e", 1)))
UNITS = [SMALL, LARGE, TOGETHER_LARGE, SMALL]


class Calls:
    """Stands in for the two calls of a store that read, and notes them."""

    def __init__(self, monkeypatch):
        self.made = []
        lake = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")
        self.store = ObjectStore(lake)
        monkeypatch.setattr(self.store, "read", self.read)
        monkeypatch.setattr(self.store, "read_many", self.read_many)

    def read(self, part):
        self.made.append((part.key, part.start, part.end))
        return b"%d-%d" % (part.start, part.end)

    def read_many(self, parts):
        self.made.append(tuple(part.key for part in parts))
        return [part.key.encode() for part in parts]


@pytest.fixture
def calls(monkeypatch):
    return Calls(monkeypatch)


@pytest.fixture
def steps(calls):
    step = StoreDoFn(hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s"))
    step.setup()
    step._store, step._ahead = calls.store, ReadAhead(calls.store)
    return step


def test_only_the_first_chunk_of_a_large_slice_is_begun_and_only_once(calls):
    ahead = ReadAhead(calls.store)
    ahead.begin(LARGE)
    ahead.begin(LARGE)
    (first,) = ahead.take_first_chunk(LARGE)
    assert first.result() == b"%d-%d" % (5, 5 + CHUNK_BYTES)
    assert calls.made == [("large", 5, 5 + CHUNK_BYTES)]
    assert ahead.take_first_chunk(LARGE) == []


def test_small_slices_are_begun_all_together(calls):
    ahead = ReadAhead(calls.store)
    ahead.begin(SMALL)
    assert ahead.take_bodies(SMALL) == [b"a", b"b"]
    assert ahead.take_bodies(SMALL) is None


def test_slices_that_have_more_than_a_chunk_together_are_not_begun(calls):
    ahead = ReadAhead(calls.store)
    ahead.begin(TOGETHER_LARGE)
    ahead.begin(None)
    assert ahead.take_bodies(TOGETHER_LARGE) is None
    assert calls.made == []


def test_what_was_begun_of_another_unit_is_forgotten(calls):
    ahead = ReadAhead(calls.store)
    ahead.begin(SMALL)
    assert ahead.take_first_chunk(LARGE) == []
    assert ahead.take_bodies(SMALL) is None


def test_an_error_is_raised_when_the_unit_has_its_turn(steps, calls, monkeypatch):
    def read_many(parts):
        if parts == SMALL.slices:
            raise hp.TransientError("no answer")
        return [b"x"] * len(parts)

    monkeypatch.setattr(calls.store, "read_many", read_many)
    assert [part.key for part, _ in steps.bodies(TOGETHER_LARGE, SMALL)] == ["a", "b"]
    with pytest.raises(hp.TransientError, match="no answer"):
        next(steps.bodies(SMALL))


def test_each_byte_is_read_once_and_whoever_reads_again_gets_all_of_it(steps, calls):
    pairs = zip(UNITS, [*UNITS[1:], None], strict=True)
    bodies = []
    for unit, following in pairs:
        for part, chunks in steps.bodies(unit, following):
            bodies.append((part.key, list(chunks())))
    chunks_of_large = [b"%d-%d" % (5, 5 + CHUNK_BYTES), b"%d-%d" % (5 + CHUNK_BYTES, 2 * CHUNK_BYTES)]
    pair = [("a", [b"a"]), ("b", [b"b"])]
    assert bodies == [*pair, ("large", chunks_of_large), *pair, *pair]
    read_before_its_turn = ("large", 5, 5 + CHUNK_BYTES)
    assert sorted(calls.made, key=str) == sorted(
        [("a", "b")] * 3 + [read_before_its_turn, ("large", 5 + CHUNK_BYTES, 2 * CHUNK_BYTES)], key=str
    )

    (_, open_chunks), *_ = steps.bodies(LARGE)
    assert list(open_chunks()) == list(open_chunks()) == chunks_of_large


def test_a_chunk_that_was_read_before_its_turn_is_not_kept_in_memory(steps):
    steps._ahead.begin(LARGE)
    kept = weakref.ref(steps._ahead._begun[1])
    (_, open_chunks), *_ = steps.bodies(LARGE)
    assert len(list(open_chunks())) == 2
    gc.collect()
    assert kept() is None
    assert len(list(open_chunks())) == 2


def test_the_unit_that_follows_is_begun_before_the_last_chunk_is_worked_on(steps, calls):
    (_, open_chunks), *_ = steps.bodies(LARGE, SMALL)
    chunks = open_chunks()
    next(chunks)
    begun = steps._ahead.take_bodies(SMALL)
    assert begun == [b"a", b"b"]
    assert len(list(chunks)) == 1


def test_what_follows_small_slices_is_begun_before_they_are_worked_on(steps, calls):
    next(steps.bodies(SMALL, LARGE))
    (first,) = steps._ahead.take_first_chunk(LARGE)
    assert first.result() == b"%d-%d" % (5, 5 + CHUNK_BYTES)
