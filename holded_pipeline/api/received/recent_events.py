"""The events accepted last, kept in memory for `GET /events/{event_id}`."""

from __future__ import annotations

from collections import OrderedDict


class RecentEvents:
    """The last stored lines by event id, at most `limit` bytes of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: OrderedDict[str, bytes] = OrderedDict()
        self.bytes = 0

    def add(self, event_id: str, line: bytes) -> None:
        """Adds an event, and drops the oldest ones beyond the limit.

        Of two with one id the first stays, as in the store and in the pipeline: no sender replaces what another sent.
        """
        if event_id in self._lines:
            return
        self.bytes += len(line)
        self._lines[event_id] = line
        while self.bytes > self._limit:
            _, oldest = self._lines.popitem(last=False)
            self.bytes -= len(oldest)

    def get(self, event_id: str) -> bytes | None:
        """The line of an event; None if it is not among the last ones."""
        return self._lines.get(event_id)
