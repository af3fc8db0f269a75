"""Key patterns: a prefix without wildcards, otherwise a glob over the whole key."""

from __future__ import annotations

import re

import pytest

from holded_pipeline.reading.key_patterns import glob_prefix, glob_regex

KEYS = [
    "raw/a.jsonl", "raw/a.json", "raw/2025/a.jsonl", "raw/2026/a.jsonl", "raw/2026/d.jsonl", "raw/2026/01/a.jsonl",
    "rawest/a.jsonl",
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "prefix", "matched"),
    [
        ("raw/2026", "raw/2026", ["raw/2026/a.jsonl", "raw/2026/d.jsonl", "raw/2026/01/a.jsonl"]),
        ("raw/*.jsonl", "raw/", ["raw/a.jsonl"]),
        ("raw/**/a.jsonl", "raw/", ["raw/a.jsonl", "raw/2025/a.jsonl", "raw/2026/a.jsonl", "raw/2026/01/a.jsonl"]),
        ("raw/**", "raw/", KEYS[:-1]),
        ("raw/202?/[!a-c]*", "raw/202", ["raw/2026/d.jsonl"]),
        ("raw/202[56]/a*", "raw/202", ["raw/2025/a.jsonl", "raw/2026/a.jsonl"]),
        ("raw/a.json", "raw/a.json", ["raw/a.jsonl", "raw/a.json"]),
        ("raw/a?json*", "raw/a", ["raw/a.jsonl", "raw/a.json"]),
    ],
)
def test_a_pattern_matches_keys_by_prefix_or_as_a_glob(pattern, prefix, matched):
    assert glob_prefix(pattern) == prefix
    assert [key for key in KEYS if re.match(glob_regex(pattern), key)] == matched


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("gl/**", "\n\\w^a-/"),
        ("gl/*.x", "\n\\w^a-"),
        ("gl/?.x", "\n\\w^a-"),
        (r"gl/[\w].x", "\\w"),
        ("gl/[^a].x", "\n\\w^-"),
        ("gl/[!a].x", "\n\\w^-"),
        ("gl/[a^].x", "^a"),
        ("gl/[a-].x", "a-"),
        ("gl/[!-~].x", "\n\\w^a"),
        ("gl/[a-z].x", "wa"),
    ],
)
def test_a_wildcard_has_the_meaning_of_a_glob_for_every_character(pattern, matched):
    found = [character for character in "\n\\w^a-/" if re.match(glob_regex(pattern), f"gl/{character}.x")]
    assert found == list(filter(matched.__contains__, "\n\\w^a-/"))
