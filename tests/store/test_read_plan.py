"""A plan covers every byte once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.store.read_plan import StoredObject, group_small, split_lines

OBJECTS = st.lists(st.integers(0, 100), max_size=40).map(
    lambda sizes: [StoredObject(f"raw/{n}", size, "e") for n, size in enumerate(sizes)]
)


@given(OBJECTS, st.integers(1, 120), st.integers(1, 10))
def test_each_object_that_is_not_empty_is_in_exactly_one_unit(objects, unit_bytes, unit_objects):
    units = list(group_small(objects, unit_bytes=unit_bytes, unit_objects=unit_objects))
    planned = [part.key for unit in units for part in unit.slices]
    assert planned == [stored.key for stored in objects if stored.size]


@given(OBJECTS, st.integers(1, 120), st.integers(1, 10))
def test_no_unit_is_larger_than_asked_unless_one_object_is(objects, unit_bytes, unit_objects):
    for unit in group_small(objects, unit_bytes=unit_bytes, unit_objects=unit_objects):
        assert len(unit.slices) <= unit_objects
        assert len(unit.slices) == 1 or sum(part.length for part in unit.slices) <= unit_bytes


@given(
    st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=30),
    st.integers(1, 40),
    st.integers(1, 17),
    st.booleans(),
)
def test_slices_of_a_line_file_cover_every_byte_once_and_cut_only_between_lines(lines, unit_bytes, step, ended):
    text = b"\n".join(lines) + (b"\n" if ended else b"")
    chunks = [text[at : at + step] for at in range(0, len(text), step)]
    stored = StoredObject("raw/a.jsonl", len(text), "e")
    slices = [unit.slices[0] for unit in split_lines(stored, chunks, unit_bytes=unit_bytes)]
    assert slices[0].start == 0
    assert slices[-1].end == len(text)
    for before, after in pairwise(slices):
        assert before.end == after.start
        assert text[after.start - 1 : after.start] == b"\n"
        assert before.length >= unit_bytes
    for part in slices:
        assert part.first_line == text.count(b"\n", 0, part.start) + 1


@given(st.integers(1, 50), st.integers(2, 60))
def test_slices_end_at_the_first_line_end_past_the_size_asked_for(line_length, unit_bytes):
    text = (b"x" * (line_length - 1) + b"\n") * 40
    slices = [u.slices[0] for u in split_lines(StoredObject("k", len(text), "e"), [text], unit_bytes=unit_bytes)]
    for part in slices[:-1]:
        assert unit_bytes <= part.length < unit_bytes + line_length
