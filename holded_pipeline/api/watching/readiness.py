"""Whether a server that the API depends on answers, asked at most once a second for all requests together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_CHECK_INTERVAL = 1.0


class Readiness:
    """Checks that a server can be reached, at most once a second for all requests together."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="holded-ready")
        self._result: asyncio.Future[None] | None = None
        self._checked_at = float("-inf")

    async def check(self) -> None:
        """Returns if the server can be reached.

        Raises:
            Exception: the error of the client.
        """
        is_recent = time.monotonic() - self._checked_at < _CHECK_INTERVAL
        if self._result is None or (self._result.done() and not is_recent):
            self._checked_at = time.monotonic()
            self._result = asyncio.get_running_loop().run_in_executor(self._thread, self._check)
            self._result.add_done_callback(_ignore_exception)
        await asyncio.shield(self._result)

    def close(self) -> None:
        """Ends its thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _ignore_exception(result: asyncio.Future[None]) -> None:
    """Keeps asyncio from logging the error of a check whose requests have all ended: nobody retrieves it."""
    if not result.cancelled():
        result.exception()
