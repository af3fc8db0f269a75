"""A streamed object is read ahead, in order, and nobody waits for what is not asked for."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future

import pytest

import holded_pipeline as hp
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_plan import Slice

PART = Slice("k", "e", 100, 3, 90)


@pytest.fixture
def store():
    return ObjectStore(hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s"))


def test_chunks_come_in_order_and_cover_the_slice_once(store, monkeypatch):
    text = bytes(range(100))
    monkeypatch.setattr(store, "read", lambda part: text[part.start : part.end])
    assert b"".join(store.stream(PART, chunk_bytes=7)) == text[3:90]


def test_a_first_chunk_that_was_read_is_not_read_again(store, monkeypatch):
    parts = []
    monkeypatch.setattr(store, "read", lambda part: parts.append(part.start) or b"x")
    first = Future()
    first.set_result(b"first")
    assert list(store.stream(PART, chunk_bytes=30, first=first)) == [b"first", b"x", b"x"]
    assert sorted(parts) == [33, 63]


def test_a_first_chunk_that_was_given_out_is_not_kept_in_memory(store, monkeypatch):
    monkeypatch.setattr(store, "read", lambda part: b"x")
    first = Future()
    first.set_result(b"first")
    kept = weakref.ref(first)
    chunks = store.stream(PART, chunk_bytes=30, first=first)
    del first
    assert next(chunks) == b"first"
    assert next(chunks) == b"x"
    assert kept() is None


@pytest.mark.parametrize(("chunk_bytes", "asked_at"), [(10, 7), (30, 1), (50, 0), (100, 0)])
def test_what_comes_next_is_begun_once_when_a_chunk_of_it_would_be_ahead(store, monkeypatch, chunk_bytes, asked_at):
    monkeypatch.setattr(store, "read", lambda part: b"x")
    given, asked = [], []
    chunks = store.stream(PART, chunk_bytes, begin_next=lambda: asked.append(len(given)))
    while chunk := next(chunks, None):
        given.append(chunk)
    assert asked == [asked_at]


def test_an_error_is_raised_where_its_chunk_is_asked_for(store, monkeypatch):
    def read(part):
        if part.start > 20:
            raise hp.ObjectVanishedError("gone")
        return b"x"

    monkeypatch.setattr(store, "read", read)
    with pytest.raises(hp.ObjectVanishedError, match="gone"):
        list(store.stream(PART, chunk_bytes=10))
    chunks = store.stream(PART, chunk_bytes=10)
    assert [next(chunks), next(chunks)] == [b"x", b"x"]


def test_who_stops_early_waits_for_no_read(store, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(store, "read", lambda part: b"x" if part.start == 3 else b"%d" % release.wait(60))
    chunks = store.stream(PART, chunk_bytes=10)
    assert next(chunks) == b"x"
    chunks.close()
    reading = [thread for thread in threading.enumerate() if thread.name == "read-minio"]
    assert reading  # they still read
    assert all(thread.daemon for thread in reading)  # so the end of the process does not wait either
    release.set()
