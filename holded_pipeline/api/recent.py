"""The events accepted last, in memory."""

from __future__ import annotations

from collections import OrderedDict


class RecentEvents:
    """Stored lines by event id, the last of them, as many as `limit` bytes hold."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: OrderedDict[str, bytes] = OrderedDict()
        self.bytes = 0

    def add(self, event_id: str, line: bytes) -> None:
        """Remembers an event, and forgets the oldest ones if they are too many."""
        self.bytes += len(line) - len(self._lines.pop(event_id, b""))
        self._lines[event_id] = line
        while self.bytes > self._limit:
            _, oldest = self._lines.popitem(last=False)
            self.bytes -= len(oldest)

    def get(self, event_id: str) -> bytes | None:
        """The line of an event, if it is remembered."""
        return self._lines.get(event_id)
