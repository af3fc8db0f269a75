"""What requests hold while they are in progress: memory and places, shared fairly by key and address."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

from holded_pipeline.api.access.client_address import client_address
from holded_pipeline.api.access.fair_shares import FairShares, Holder
from holded_pipeline.api.problems import Problem, unavailable
from holded_pipeline.api.settings import Limits

# A network of many clients has one address: its share is larger than that of one key.
_ADDRESS_WEIGHT = 3.0


class MemoryBudget:
    """The bytes of bodies and pages that all requests together may hold, and how many requests there may be.

    A key may hold as much as is free, an address three times as much: see `FairShares`. So a key that is alone gets
    half of the memory, and its address three quarters; others still find some.

    Args:
        limits: see `Limits`.
        retry_after: the seconds that an answer tells a client to wait.
    """

    def __init__(self, limits: Limits, retry_after: int) -> None:
        self._memory = FairShares(limits.memory_bytes)
        self._requests = FairShares(limits.requests_in_progress)
        self._retry_after = retry_after
        self._lock = threading.Lock()  # large bodies are decompressed in threads

    @property
    def held(self) -> int:
        """The bytes that all requests hold."""
        return self._memory.held

    @property
    def requests(self) -> int:
        """The requests in progress."""
        return self._requests.held

    @contextlib.contextmanager
    def share(self, key: str = "", host: str = "") -> Iterator[MemoryShare]:
        """The share of one request, released at the end of the block.

        Args:
            key: the name of the request's API key.
            host: the address of its client.

        Raises:
            Problem: 429 or 503; too many requests are in progress, see `MemoryShare.reserve`.
        """
        holders = [Holder(f"key {key}"), Holder(f"address {client_address(host)}", _ADDRESS_WEIGHT)]
        with self._lock:
            refusal = self._requests.take(1, holders)
        if refusal == "over_share":
            raise self._over_share("this key or address has too many requests in progress")
        if refusal:
            raise unavailable("busy", "too many requests are in progress", self._retry_after)
        share = MemoryShare(self, holders)
        try:
            yield share
        finally:
            with self._lock:
                self._requests.give_back(1, holders)
                self._memory.give_back(share.held, holders)

    def reserve(self, size: int, holders: Sequence[Holder], own: int) -> None:
        """Reserves bytes; see `MemoryShare.reserve`."""
        with self._lock:
            refusal = self._memory.take(size, holders, own)
        if refusal == "over_share":
            raise self._over_share("the requests in progress of this key or address fill its share of the memory")
        if refusal:
            raise unavailable("busy", "the requests in progress fill the memory set aside for them", self._retry_after)

    def _over_share(self, detail: str) -> Problem:
        return Problem(
            429,
            "over_share",
            f"{detail}; wait for their answers, and send the same request again in {self._retry_after} s",
            {"Retry-After": str(self._retry_after)},
        )


class MemoryShare:
    """The bytes that one request holds."""

    def __init__(self, budget: MemoryBudget, holders: Sequence[Holder]) -> None:
        self._budget = budget
        self._holders = holders
        self.held = 0

    def reserve(self, size: int) -> None:
        """Reserves bytes.

        Raises:
            Problem: 429, the key or the address has its share already; 503, fewer bytes are left.
        """
        self._budget.reserve(size, self._holders, self.held)
        self.held += size
