"""A plan covers every byte once."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import accumulate, pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.store.planned_objects import incomplete_objects
from holded_pipeline.store.read_plan import ReadPlan, ReadUnit, Slice, StoredObject, group_small, split_lines
from holded_pipeline.store.shards import Shard

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


TEXTS = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=30).map(b"\n".join)


@given(TEXTS, st.integers(1, 40), st.integers(1, 17), st.integers(1, 6))
def test_parts_of_a_line_file_cover_every_byte_once_however_each_is_read(text, unit_bytes, step, count):
    stored = StoredObject("raw/a.jsonl", len(text), "e")
    parts = filter(None, (Shard(number, count).part_of(stored, unit_bytes) for number in range(count)))
    slices = []
    for number, part in enumerate(sorted(parts)):
        size = step + number
        chunks = (text[at : at + size] for at in range(0, len(text), size))
        slices += [unit.slices[0] for unit in split_lines(stored, chunks, unit_bytes=unit_bytes, part=part)]
    assert b"".join(text[part.start : part.end] for part in slices) == text
    for before, after in pairwise(slices):
        assert before.end == after.start
        assert text[after.start - 1 : after.start] == b"\n"
    for part in slices:
        assert part.length > 0
        assert part.first_line == text.count(b"\n", 0, part.start) + 1


def test_a_part_is_read_no_further_than_its_last_line():
    lines = [b"x" * 9 + b"\n"] * 100
    read = iter(lines)
    slices = list(split_lines(StoredObject("k", 1_000, "e"), read, unit_bytes=500, part=(100, 200)))
    assert [(unit.slices[0].start, unit.slices[0].end) for unit in slices] == [(100, 200)]
    assert len(list(read)) == 80


def unit_of(key, *lengths, size):
    """Units of one object: one with all of it, or one for each slice."""
    ends = list(accumulate(lengths))
    return [ReadUnit((Slice(key, "e", size, end - length, end),)) for length, end in zip(lengths, ends, strict=True)]


LENGTHS = st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=5), max_size=12)


@given(LENGTHS, st.integers(0, 5), st.integers(1, 6), st.booleans())
def test_shares_have_each_unit_and_each_empty_object_once_and_about_as_many_bytes(lengths, empty, n, whole_objects):
    objects = [unit_of(f"k{number}", *each, size=sum(each)) for number, each in enumerate(lengths)]
    units = tuple(unit for each in objects for unit in each)
    plan = ReadPlan("lake", "raw/", units, tuple(StoredObject(f"e{number}", 0, "e") for number in range(empty)))
    shares = plan.shares(n, whole_objects=whole_objects)
    assert len(shares) == n
    assert Counter(unit for share in shares for unit in share.units) == Counter(units)
    assert sorted(each.key for share in shares for each in share.empty) == [each.key for each in plan.empty]
    assert all([*share.units] == [unit for unit in units if unit in share.units] for share in shares)
    largest = max((sum(each) if whole_objects else max(each) for each in lengths), default=0)
    assert max(share.bytes for share in shares) - min(share.bytes for share in shares) <= largest
    if whole_objects:
        assert all(incomplete_objects(share) == {} for share in shares)


def test_a_plan_says_what_it_has_and_is_pickled():
    units = (*unit_of("<b>", 60, 40, size=100), ReadUnit((Slice("a", "e", 7), Slice("c", "e", 5))))
    plan = ReadPlan("lake", "raw/", units, (StoredObject("d", 0, "e"),))
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert (plan.objects, plan.bytes) == (4, 112)
    assert repr(plan) == "<ReadPlan lake/raw/: 4 objects, 3 units, 112 bytes>"
    assert ">112</td>" in plan._repr_html_()
    assert "<b>" not in attrs.evolve(plan, pattern="<b>")._repr_html_()
    with pytest.raises(ValueError, match="at least 1 share, got 0"):
        plan.shares(0)


def test_what_a_plan_lacks_of_an_object_is_found():
    plan = ReadPlan("lake", "raw/", tuple(unit_of("k", 60, 40, size=100)))
    assert incomplete_objects(plan) == {}
    assert [incomplete_objects(share) for share in plan.shares(2)] == [{"k": (60, 100)}, {"k": (40, 100)}]
