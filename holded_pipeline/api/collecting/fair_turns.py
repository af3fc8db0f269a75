"""Turns at a few threads, so that one caller never holds all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class FairTurns:
    """Lets so many pieces of work run at one time, and of one caller one less, if there are several turns.

    With two turns, a caller whose packages are costly waits for itself, and the other turn is for the others.

    Args:
        turns: how many may run at one time.
    """

    def __init__(self, turns: int) -> None:
        self._all = asyncio.Semaphore(turns)
        self._share = max(turns - 1, 1)
        self._callers: dict[str, tuple[asyncio.Semaphore, list[None]]] = {}  # with an item for each that waits or runs

    @contextlib.asynccontextmanager
    async def turn(self, caller: str, wait_seconds: float) -> AsyncIterator[None]:
        """A turn of a caller, from when it comes to when the block ends.

        Raises:
            TimeoutError: it did not come within so many seconds.
        """
        own, using = self._callers.setdefault(caller, (asyncio.Semaphore(self._share), []))
        using.append(None)
        try:
            async with contextlib.AsyncExitStack() as held:
                async with asyncio.timeout(wait_seconds):
                    await held.enter_async_context(own)
                    await held.enter_async_context(self._all)
                yield
        finally:
            using.pop()
            if not using:
                del self._callers[caller]
