"""Shards divide objects by key and size alone: each object has one owner, and large files one for each part."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.store.read_plan import StoredObject
from holded_pipeline.store.shards import Shard, first_owner

KEYS = st.text(st.characters(codec="utf-8"), max_size=60)
COUNTS = st.integers(1, 40)


def shards(count):
    return [Shard(index, count) for index in range(count)]


@given(KEYS, COUNTS)
def test_each_key_of_any_characters_has_exactly_one_owner(key, count):
    assert sum(shard.owns(key) for shard in shards(count)) == 1


def test_the_owner_of_a_key_is_the_same_in_every_process_and_version():
    keys = ["raw/part-00007.jsonl.gz", "raw/2026-03-01T07.json", "raw/ñandú-日本-🚲", "raw/a b%2F+", "", "9" * 1_000]
    assert [first_owner(key, 10) for key in keys] == [7, 4, 4, 9, 9, 6]


@given(st.text("abc/-", max_size=9), st.integers(0, 10**12), st.integers(0, 200), COUNTS, st.sampled_from(["", ".bz2"]))
def test_a_numbered_series_is_divided_evenly(series, first, length, count, ending):
    keys = [f"raw/{series}-{first + number:05}.jsonl{ending}" for number in range(length)]
    owned = Counter(first_owner(key, count) for key in keys)
    assert max(owned.values(), default=0) <= -(-length // count) + 1
    assert min(owned[number] for number in range(count)) >= length // count - 1


@pytest.mark.parametrize("step", [1, 2, 10, 60, 3_600])
def test_numbers_with_gaps_are_spread_as_a_hash_spreads_them(step):
    count = 60
    owned = Counter(first_owner(f"raw/{1_700_000_000 + step * n}.json", count) for n in range(6_000))
    assert len(owned) == count
    assert max(owned.values()) < 150  # 100 are even; a remainder by 60 would give all to one


@given(KEYS, st.integers(1, 10**6), st.integers(1, 10**5), COUNTS)
def test_parts_of_a_file_are_equal_cover_it_and_have_an_owner_each(key, size, unit_bytes, count):
    stored = StoredObject(key, size, "e")
    parts = {shard.index: part for shard in shards(count) if (part := shard.part_of(stored, unit_bytes))}
    assert len(parts) == min(count, -(-size // unit_bytes))
    bounds = sorted(parts.values())
    assert (bounds[0][0], bounds[-1][1]) == (0, size)
    assert all(before[1] == after[0] for before, after in pairwise(bounds))
    lengths = [end - start for start, end in bounds]
    assert max(lengths) - min(lengths) <= 1
    (owner,) = (shard for shard in shards(count) if shard.owns(key))
    assert parts[owner.index][0] == 0  # who owns the key has the first part


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ((8, 8), ValueError, r"\(0, 8\) to \(7, 8\), counted from 0, got \(8, 8\)"),
        ((-1, 8), ValueError, "counted from 0"),
        ((0, 0), ValueError, "at least 1 run"),
        ("0/8", TypeError, r"two integers, such as \(0, 8\).*got '0/8'"),
        ((0,), TypeError, "two integers"),
        ((True, 8), TypeError, "two integers"),
        ((0, 8.0), TypeError, "two integers"),
        (3, TypeError, "two integers"),
    ],
)
def test_what_is_no_shard_is_refused(value, error, words):
    with pytest.raises(error, match=words):
        Shard.of(value)
