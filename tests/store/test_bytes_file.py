"""A large object is sent from the bytes that are there, without another copy of them."""

from __future__ import annotations

import io
import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.store.bytes_file import BytesFile
from holded_pipeline.store.client import ObjectStore

POSITIONS = st.tuples(st.integers(0, 60), st.just(io.SEEK_SET)) | st.tuples(st.just(0), st.sampled_from([1, 2]))


@given(st.binary(max_size=50), st.lists(st.integers(-1, 20) | POSITIONS, max_size=8))
def test_it_reads_what_a_file_of_the_standard_library_reads(body, steps):
    ours, other = BytesFile(body), io.BytesIO(body)
    for step in steps:
        if isinstance(step, tuple):
            assert ours.seek(*step) == other.seek(*step)
        else:
            assert ours.read(step) == other.read(step)
        assert ours.tell() == other.tell()


def test_sending_a_large_object_takes_little_memory(lake):
    store = ObjectStore(lake)
    body = random.Random(3).randbytes(16 << 20)
    store.write("first", b"so that the client is there")
    tracemalloc.start()
    try:
        store.write("large", body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert lake.filesystem().cat(f"{lake.bucket}/large") == body
    store.close()
