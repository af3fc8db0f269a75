"""The audit log: who was refused what, and when keys changed. Never a key, and never more than a disk can hold."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

LOGGER: Final = logging.getLogger("holded_pipeline.audit")
_WINDOW_SECONDS: Final = 60.0
_LINES: Final = 100
_LINES_OF_ADDRESS: Final = 10
_NOT_OF_ADDRESSES: Final = re.compile(r"[^0-9A-Za-z.:%_-]")
_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Audit:
    """Writes a line for each refusal, on the logger `holded_pipeline.audit`.

    A line has the reason, the name of the key if it is known, the address, the route and the time. An attacker who is
    refused without end does not fill the disk: in a minute there are at most 100 lines, and at most 10 of one address,
    so that one that is loud does not hide the others. What was left out is counted by reason, in one line after that
    minute; the metrics count every refusal.

    Args:
        count: counts a refusal by its reason.
        clock: seconds that only grow.
    """

    def __init__(self, count: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._lines = 0
        self._of_address: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def refuse(self, reason: str, *, route: str, address: str, key: str | None = None, events: int = 1) -> None:
        """Writes the line of a refusal.

        Args:
            reason: a word for it.
            route: the method and the template of the path.
            address: of the client.
            key: the name of its key; None if that is not known.
            events: how many events were refused, for a reason that is one of events.
        """
        self._count(reason)
        address = _NOT_OF_ADDRESSES.sub("?", address)[:64] or "unknown"
        if not self._has_room(reason, address):
            return
        name = "-" if key is None else json.dumps(key)
        number = f" events={events}" if events > 1 else ""
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        LOGGER.warning(
            'refused: reason=%s key=%s address=%s route="%s"%s time=%s', reason, name, address, route, number, when
        )

    def note(self, words: str) -> None:
        """Writes what happened to the keys."""
        LOGGER.info("%s", words)

    def warn(self, words: str) -> None:
        """Writes what is wrong with the keys."""
        LOGGER.warning("%s", words)

    def close(self) -> None:
        """Writes what was left out."""
        with self._lock:
            self._end_window()

    def _has_room(self, reason: str, address: str) -> bool:
        with self._lock:
            if self._clock() - self._began >= _WINDOW_SECONDS:
                self._end_window()
            if self._lines >= _LINES or self._of_address.get(address, 0) >= _LINES_OF_ADDRESS:
                self._left_out[reason] += 1
                return False
            self._lines += 1
            self._of_address[address] += 1  # as many addresses as lines, at most
            return True

    def _end_window(self) -> None:
        if self._left_out:
            reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(self._left_out.items()))
            LOGGER.warning("refused, and left out of this log in the last minute or more: %s", reasons)
        self._began = self._clock()
        self._lines = 0
        self._of_address.clear()
        self._left_out.clear()


def audited_route(request: Request) -> str:
    """The method and the template of the path, such as `GET /events/{event_id}`, not what a client wrote into it."""
    method = request.method if request.method in _METHODS else "other"
    return f"{method} {getattr(request.scope.get('route'), 'path', None) or 'none'}"
