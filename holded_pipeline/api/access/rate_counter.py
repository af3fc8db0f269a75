"""Counts requests against rates: in this process, or in a storage that several processes share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from limits import RateLimitItem
from limits.aio.strategies import SlidingWindowCounterRateLimiter as SharedLimiter
from limits.errors import ConfigurationError as StorageConfigurationError
from limits.storage import MemoryStorage, StorageTypes, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from holded_pipeline.api.problems import Problem
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.install_lines import install_line

_STORAGE_SECONDS = 0.25
_PAUSE_SECONDS = 5.0
_logger = logging.getLogger("holded_pipeline.api")


class RateCounter:
    """Counts requests, and rejects those beyond a rate.

    While the shared storage does not answer, this process counts for itself, with the same rates, and asks the
    storage again every few seconds. So an outage of it never stops a request for longer than a quarter of a second.

    Args:
        storage: where to count, see `Limits.rate_storage`; None to count in this process.

    Raises:
        ConfigurationError: the storage is unknown, or the package that it needs is not installed.
    """

    def __init__(self, storage: str | None) -> None:
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = None if storage is None else SharedLimiter(_open_storage(storage))
        self._ask_again_at = float("-inf")

    async def count(self, rates: Sequence[RateLimitItem], who: str, what: str) -> None:
        """Counts a request for all rates.

        Args:
            rates: how many requests are allowed.
            who: whose requests are counted.
            what: what is counted, for the message.

        Raises:
            Problem: 429; the request exceeds a rate.
        """
        if self._shared is None or not rates or time.monotonic() < self._ask_again_at:
            self._count_here(rates, who, what)
            return
        try:
            async with asyncio.timeout(_STORAGE_SECONDS):
                exceeded = await _count_shared(self._shared, rates, who)
        except Exception as error:  # noqa: BLE001  each storage has errors of its own, and none may stop a request
            _logger.warning(
                "the storage of rates does not answer (%s); this process counts for itself, and asks again in %d s",
                type(error).__name__,
                _PAUSE_SECONDS,
            )
            self._ask_again_at = time.monotonic() + _PAUSE_SECONDS
            self._count_here(rates, who, what)
            return
        if exceeded is not None:
            raise _too_many(*exceeded, what)

    def _count_here(self, rates: Sequence[RateLimitItem], who: str, what: str) -> None:
        """Counts in this process; a request that exceeds one rate counts for none."""
        rate = next((each for each in rates if not self._local.test(each, who)), None)
        if rate is not None:
            raise _too_many(rate, self._local.get_window_stats(rate, who).reset_time, what)
        for each in rates:
            self._local.hit(each, who)


async def _count_shared(
    limiter: SharedLimiter, rates: Sequence[RateLimitItem], who: str
) -> tuple[RateLimitItem, float] | None:
    """Counts in the storage; returns the rate that is exceeded, and when to try again."""
    for rate in rates:
        if not await limiter.hit(rate, who):
            return rate, (await limiter.get_window_stats(rate, who)).reset_time
    return None


def _open_storage(uri: str) -> StorageTypes:
    scheme = uri.partition(":")[0]
    client = {"implementation": "redispy"} if scheme.startswith("async+redis") else {}
    try:
        return storage_from_string(uri, **client)
    except StorageConfigurationError as error:
        raise ConfigurationError(
            f"Limits.rate_storage cannot be used: it is of the kind {scheme}, which the library limits does not know,"
            f" or the package that it needs is not installed; for redis run: {install_line('rates')};"
            " for memcached run: pip install memcachio"
        ) from error


def _too_many(rate: RateLimitItem, reset_time: float, what: str) -> Problem:
    seconds = max(1, round(reset_time - time.time() + 0.5))
    return Problem(
        429,
        "too_many_requests",
        f"more than {rate.amount} {what} in {rate.get_expiry()} s; wait {seconds} s, and send larger packages",
        {"Retry-After": str(seconds)},
    )
