"""Fair shares: an amount of which each holder gets a part that always leaves some for others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import attrs

Refusal = Literal["over_share", "full"]


@attrs.frozen
class Holder:
    """One of those who share an amount.

    Attributes:
        name: who it is, for example a key.
        weight: its share is this times what is free.
    """

    name: str
    weight: float = 1.0


class FairShares:
    """Shares an amount: a holder may have at most its weight times what is free.

    So a holder that is alone may have half of everything, two may have a third each, and there is always something
    left for one more. (This is the dynamic threshold of switches that share a buffer.) What belongs to two holders,
    such as a key and an address, has to be within the shares of both. A single holder's only request may have
    everything while nobody else has anything, so that each request which fits at all is accepted at some time.

    Not safe for several threads; the caller locks.

    Args:
        limit: the whole amount.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_holder: defaultdict[str, int] = defaultdict(int)
        self.held = 0

    def take(self, size: int, holders: Sequence[Holder], own: int = 0) -> Refusal | None:
        """Takes an amount for these holders; returns why not, or None if it is taken.

        Args:
            size: the amount.
            holders: who it counts for.
            own: what the same request holds already.
        """
        left = self._limit - self.held
        is_alone = self.held == own
        if not is_alone and not self._are_fair(size, holders, max(left - size, 0)):
            return "over_share"
        if size > left:
            return "full"
        self.held += size
        for holder in holders:
            self._by_holder[holder.name] += size
        return None

    def give_back(self, size: int, holders: Sequence[Holder]) -> None:
        """Gives back what was taken."""
        self.held -= size
        for holder in holders:
            self._by_holder[holder.name] -= size
            if not self._by_holder[holder.name]:
                del self._by_holder[holder.name]

    def _are_fair(self, size: int, holders: Sequence[Holder], free: int) -> bool:
        return all(self._by_holder.get(holder.name, 0) + size <= holder.weight * free for holder in holders)
