"""The error budget: which limits are valid, and when one is exceeded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.rejected.error_budget import ErrorBudget, Tally

REASONS = st.tuples(st.sampled_from(["read", "validate", "write"]), st.sampled_from("abc"))


def tally(*rejected):
    made = Tally()
    for stage, reason in rejected:
        made.add(stage, reason, f"message of {reason}")
    return made


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (-1, "must not be negative"),
        (math.nan, "must not be negative"),
        (1.0, "must be below 1"),
        (1.5, "write a count as an int"),
        (True, "a count .* or a share"),
        ("1", "a count .* or a share"),
        ({"read": -1}, "max_rejected of 'read'"),
        ({}, "empty mapping"),
        ({1: 1}, "belongs to a stage"),
        ({"validat": 1}, "did you mean 'validate'"),
        ({"Read": 0.1}, "did you mean 'read'"),
        ({"enirch": 1}, "did you mean 'enrich'"),
        ({"WritePostgres": 1}, "did you mean 'write'"),
    ],
)
def test_an_invalid_limit_raises(wrong, words):
    with pytest.raises((ValueError, TypeError), match=words):
        ErrorBudget.of(wrong)


def test_stages_of_the_user_have_limits_too():
    names = ("rewrite", "revalidate", "enrichment", "validate_vat", "spread", "thread", "parse", "normalize", "load")
    assert ErrorBudget.of(dict.fromkeys(names, 1)).limits == dict.fromkeys(names, 1)
    rejected = tally(("deduplicate", "a"), ("deduplicate", "a"))
    budget = ErrorBudget.of({"deduplicate": 1, "read": 5})
    assert "stage 'deduplicate': 2 records" in budget.breach(rejected, None)


@given(st.lists(REASONS, max_size=12), st.integers(0, 12))
def test_a_count_is_exceeded_by_one_more(rejected, limit):
    breach = ErrorBudget.of(limit).breach(tally(*rejected), None)
    assert (breach is not None) == (len(rejected) > limit)


@given(st.lists(REASONS, max_size=12), st.integers(0, 40), st.integers(0, 99))
def test_a_share_is_exact_and_needs_the_number_of_records(rejected, more, percent):
    records = len(rejected) + more
    budget = ErrorBudget.of(percent / 100)
    assert (budget.breach(tally(*rejected), records) is not None) == (100 * len(rejected) > percent * records)
    assert budget.breach(tally(*rejected), None) is None


@given(st.lists(REASONS, max_size=12), st.integers(0, 5), st.integers(0, 5))
def test_each_stage_has_its_limit_and_the_star_is_for_all_stages(rejected, write, everything):
    breach = ErrorBudget.of({"write": write, "*": everything}).breach(tally(*rejected), 100)
    in_write = sum(stage == "write" for stage, _ in rejected)
    assert (breach is not None) == (in_write > write or len(rejected) > everything)


@given(st.lists(st.lists(REASONS, max_size=4), max_size=4))
def test_tallies_add_up_in_any_grouping(groups):
    summed = Tally()
    for group in groups:
        summed.merge(tally(*group))
    assert summed == tally(*(reason for group in groups for reason in group))


def test_the_message_has_the_limit_the_figures_and_the_top_reasons_with_an_example():
    breach = ErrorBudget.of({"write": 0.1}).breach(tally(*[("write", "b")] * 3, ("write", "a"), ("read", "c")), 10)
    assert "stage 'write': 4 of 10 records (40.00%), and max_rejected allows 0.1" in breach
    assert breach.splitlines()[1:] == ["  3 x write: b, e.g. message of b", "  1 x write: a, e.g. message of a"]


def test_of_many_reasons_the_message_lists_five():
    breach = ErrorBudget.of(0).breach(tally(*(("read", f"r{number}") for number in range(8))), None)
    assert breach.splitlines()[-1] == "  and 3 other reasons"
    assert len(breach.splitlines()) == 7
