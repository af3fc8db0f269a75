"""The slowest rate at which a client may send or take bytes."""

from __future__ import annotations


class SlowestRate:
    """Says whether bytes move too slowly: each period has to bring the bytes of the slowest rate.

    So a client that stalls is noticed, and so is one that moves a byte now and then.

    Args:
        bytes_per_second: the slowest rate.
    """

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._start: float | None = None
        self._moved_at_start = 0

    def reset(self) -> None:
        """Nothing is waited for; the next period begins with the next `is_too_slow`."""
        self._start = None

    def is_too_slow(self, moved: int, now: float, seconds: float) -> bool:
        """Whether the period that ends now was too slow.

        Args:
            moved: all bytes so far.
            now: the time.
            seconds: the length of a period.
        """
        if self._start is None:
            self._start, self._moved_at_start = now, moved
            return False
        if moved - self._moved_at_start >= self._bytes_per_second * seconds:
            self._start, self._moved_at_start = now, moved
            return False
        return now - self._start >= seconds
