"""Who may send a package soon, so that a group is not kept waiting for nobody."""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator


class Senders:
    """The requests in progress, and who was answered last.

    A sender that gets its answer and has more to send does so at once. So a group need not wait when every sender of
    the last moments is in it already.

    Args:
        seconds: how long after its answer a sender is expected to send again.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._in_progress = 0
        self._answered: OrderedDict[Hashable, float] = OrderedDict()

    @contextlib.contextmanager
    def sending(self, sender: Hashable) -> Iterator[None]:
        """The time of one request.

        Args:
            sender: what tells senders apart, such as the address and port of a connection.
        """
        self._answered.pop(sender, None)
        self._in_progress += 1
        try:
            yield
        finally:
            self._in_progress -= 1
            self._answered[sender] = time.monotonic()
            self._forget()  # here as well, since a request that stores nothing asks no group

    def may_send(self, waiting: int) -> bool:
        """Whether somebody may send soon who is not among the `waiting` packages."""
        self._forget()
        return self._in_progress > waiting or bool(self._answered)

    def _forget(self) -> None:
        """Forgets those whose answer is too long ago."""
        oldest = time.monotonic() - self._seconds
        while self._answered and next(iter(self._answered.values())) < oldest:
            self._answered.popitem(last=False)
