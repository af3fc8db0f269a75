"""Shares of about the same weight."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def divide_evenly(weights: Sequence[int], shares: int) -> list[list[int]]:
    """The places of the weights in shares, each place in exactly one, in order.

    The heaviest share has at most the heaviest single weight more than the lightest, and is at most a third heavier
    than in the best division. Of shares of the same weight, the one with fewer places gets the next.
    """
    divided: list[list[int]] = [[] for _ in range(shares)]
    lightest = [(0, 0, number) for number in range(shares)]
    for place in sorted(range(len(weights)), key=lambda place: -weights[place]):
        weight, places, number = lightest[0]
        divided[number].append(place)
        heapq.heapreplace(lightest, (weight + weights[place], places + 1, number))
    return [sorted(places) for places in divided]
