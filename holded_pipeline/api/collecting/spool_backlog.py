"""The groups in the spool of one process: which is next, how many bytes they have, and whether a new one may come."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable

import attrs

from holded_pipeline.api.collecting.spool_folder import SpoolFolder, received_seconds

_DRAINED_FOR_EACH = 2  # so that the backlog shrinks while events come in as fast as they are accepted
_MOST_CREDITS = 16


@attrs.frozen(order=True)
class SpooledGroup:
    """A group in the spool; earlier ones are less than later ones.

    Attributes:
        name: of its file.
        size: bytes of its file.
        folder: where the file is.
    """

    name: str
    size: int = attrs.field(order=False)
    folder: SpoolFolder = attrs.field(order=False)


class Backlog:
    """The groups that wait for the store, oldest first; for use by several threads.

    Args:
        max_bytes: bytes of all groups together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._waiting: list[SpooledGroup] = []
        self._set_aside: list[SpooledGroup] = []
        self._reserved = 0
        self._bytes = 0
        self._changed = threading.Condition()
        self._credits = 0
        self._is_draining = False

    @property
    def bytes(self) -> int:
        """Bytes of all groups."""
        return self._bytes

    @property
    def groups(self) -> int:
        """The number of groups."""
        return len(self._waiting) + len(self._set_aside)

    @property
    def groups_set_aside(self) -> int:
        """The number of groups that the store does not take, while it takes others."""
        return len(self._set_aside)

    @property
    def is_waiting(self) -> bool:
        """Whether groups wait for the store that are not set aside."""
        return bool(self._waiting)

    @property
    def free_bytes(self) -> int:
        """Bytes that new groups may have."""
        return max(self._max_bytes - self._bytes - self._reserved, 0)

    def oldest_seconds(self) -> float:
        """Seconds since the oldest group was received; 0 if there is none."""
        with self._changed:
            names = [each.name for each in (*self._waiting[:1], *self._set_aside)]
        return max(time.time() - received_seconds(min(names)), 0.0) if names else 0.0

    def reserve(self, size: int) -> bool:
        """Reserves bytes for a group that will be added; False if there are not so many."""
        with self._changed:
            if size > self.free_bytes:
                return False
            self._reserved += size
            return True

    def release(self, size: int) -> None:
        """Gives back what was reserved."""
        with self._changed:
            self._reserved -= size

    def add(self, group: SpooledGroup) -> None:
        """Adds a group that is on the disk."""
        with self._changed:
            heapq.heappush(self._waiting, group)
            self._bytes += group.size
            self._changed.notify_all()

    def oldest(self) -> list[SpooledGroup]:
        """The two oldest groups, if there are two."""
        with self._changed:
            heap = self._waiting
            return [*heap[:1], min(heap[1:3])] if len(heap) > 1 else list(heap)

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Returns when a group waits for the store, after so many seconds, or when `wake` finds that it is over."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or is_over(), seconds)

    def wake(self) -> None:
        """Lets `wait` ask whether it is over."""
        with self._changed:
            self._changed.notify_all()

    def remove(self, group: SpooledGroup) -> None:
        """Removes a group that is stored, or whose file cannot be used."""
        with self._changed:
            if group in self._set_aside:
                self._set_aside.remove(group)
            else:
                self._take(group)
            self._bytes -= group.size
            self._credits = min(self._credits + 1, _MOST_CREDITS)
            self._is_draining = True
            self._changed.notify_all()

    def set_aside(self, group: SpooledGroup) -> None:
        """Lets the next groups pass one that the store does not take."""
        with self._changed:
            self._take(group)
            self._set_aside.append(group)
            self._changed.notify_all()

    def _take(self, group: SpooledGroup) -> None:
        if self._waiting[0] == group:
            heapq.heappop(self._waiting)
        else:
            self._waiting.remove(group)
            heapq.heapify(self._waiting)

    def all_set_aside(self) -> list[SpooledGroup]:
        """The groups that are set aside."""
        with self._changed:
            return list(self._set_aside)

    def stop_draining(self) -> None:
        """The store does not take groups: new ones need not wait for older ones."""
        with self._changed:
            self._is_draining = False
            self._credits = 0
            self._changed.notify_all()

    def wait_for_turn(self, seconds: float) -> bool:
        """Whether a new group may go to the store, because no older one waits.

        If the store takes groups from the spool, this first waits until it has taken two for the new one, at most so
        many seconds. So the backlog shrinks to nothing under any load, and new groups get larger meanwhile.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while self._waiting and self._is_draining and self._credits < _DRAINED_FOR_EACH:
                if not self._changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    break
            self._credits = max(self._credits - _DRAINED_FOR_EACH, 0)
            return not self._waiting
