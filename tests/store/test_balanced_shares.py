"""Shares are nearly as even as they can be."""

from __future__ import annotations

from itertools import product

from hypothesis import example, given
from hypothesis import strategies as st

from holded_pipeline.store.balanced_shares import divide_evenly


@given(st.lists(st.integers(0, 20), max_size=7), st.integers(1, 3))
@example([8, 1, 1, 1, 1, 1, 1, 1, 1], 2)
def test_the_heaviest_share_is_at_most_a_third_heavier_than_in_the_best_division(weights, n):
    def heaviest(owners):
        return max(sum(weight for weight, owner in zip(weights, owners, strict=True) if owner == i) for i in range(n))

    best = min(heaviest(owners) for owners in product(range(n), repeat=len(weights)))
    divided = divide_evenly(weights, n)
    assert sorted(place for places in divided for place in places) == list(range(len(weights)))
    assert 3 * max(sum(weights[place] for place in places) for places in divided) <= 4 * best


def test_weights_of_nothing_are_divided_by_number():
    assert divide_evenly([0, 0, 0, 0], 2) == [[0, 2], [1, 3]]
