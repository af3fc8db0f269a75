"""Lease: one holder over all machines, by a row in PostgreSQL that its holder renews."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import attrs

from holded_pipeline.model.errors import ConfigurationError, LeaseLostError, TransientError
from holded_pipeline.postgres.migrate import migrate
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.lease_row import LeaseAnswer, delete_lease, renew_lease, take_lease

_SHORTEST = 3.0
_logger = logging.getLogger("holded_pipeline")
# The clock that goes on while the machine sleeps, where there is one: a laptop or a VM that wakes up has lost the time.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Lease:
    """A lease: one holder over all machines. Its holder renews it; when the holder is gone, another takes it over.

    Args:
        db: the database; its clock decides. A row of `pipeline_leases` is the lease, so a pooler does no harm.
        name: of the lease.
        seconds: after which it expires if it is not renewed; at least 3. It is renewed three times as often.

    Example:
        >>> with hp.Lease(db, "nightly") as lease:
        ...     lease.is_held
        True

    Raises:
        ValueError: the name is empty, or `seconds` too short.

    **Guarantees:** it is taken over by one of those that wait within 1.4 times `seconds` after its holder died. A
    holder that was stopped or cut off for longer finds out by `renew`, and by `is_held` without asking the database.
    What the holder does in the meantime is not undone: guard that by a ledger, which settles each object once.
    """

    def __init__(self, db: Postgres, name: str, *, seconds: float = 30.0) -> None:
        if not name:
            raise ValueError("a lease needs a name")
        if not _SHORTEST <= seconds < math.inf:
            raise ValueError(f"a lease is for {_SHORTEST:g} seconds or more, got {seconds}")
        self.name = name
        self.seconds = seconds
        self._db = db
        # A call may not take longer than until the next one, however long the user's own retries are.
        retry = attrs.evolve(db.retry, deadline=min(db.retry.deadline, seconds / 3))
        self._quick_db = attrs.evolve(db, retry=retry, connect_timeout=min(db.connect_timeout, seconds / 3))
        self._holder = ""
        self._until = -math.inf
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_migrated = False

    @property
    def is_held(self) -> bool:
        """Whether it was renewed in time; asks no server. The database agrees, or gives it away a little later."""
        return bool(self._holder) and _now() < self._until

    @property
    def is_acquired(self) -> bool:
        """Whether it was taken, and nobody is known to have taken it over; it may have expired."""
        return bool(self._holder)

    def acquire(self, wait: float = math.inf, stop: threading.Event | None = None) -> bool:
        """Takes the lease, or waits until it is free.

        Args:
            wait: at most so many seconds; 0 tries once.
            stop: ends the waiting when it is set.

        Returns:
            Whether it is held now.

        Raises:
            TransientError: the database did not answer within `db.retry`.
            ConfigurationError: a grant is missing, or the database cannot be used.
        """
        stop = stop or threading.Event()
        if not self._is_migrated:
            migrate(self._db)
            self._is_migrated = True
        until = time.monotonic() + wait
        while not self._try():
            left = min(self.seconds / 3, until - time.monotonic())
            if left <= 0 or stop.wait(left):
                return False
        self._ended.set()  # of a lease that was lost
        self._ended = threading.Event()
        threading.Thread(
            target=self._renew_until_lost, args=(self._holder, self._ended), name=f"lease {self.name}", daemon=True
        ).start()
        return True

    def renew(self) -> None:
        """Renews the lease now. It is renewed by a thread anyway; call this before work that needs it.

        Raises:
            LeaseLostError: another took it, or it was released.
            TransientError: the database did not answer.
        """
        self._renew(self._holder)

    def _renew(self, holder: str) -> None:
        if not holder or not self._timed(holder, renew_lease):
            raise LeaseLostError(
                f"the lease {self.name!r} in {self._db} is held by another process now: this one did not renew it for "
                f"{self.seconds:g} s"
            )

    def release(self) -> None:
        """Gives the lease back. Where the database does not answer, it expires by itself."""
        self._ended.set()
        holder = self._holder
        if self._forget(holder) and holder:
            with contextlib.suppress(TransientError, ConfigurationError):
                delete_lease(self._quick_db, self.name, holder)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Lease {self.name!r} in {self._db}: {'held' if self.is_held else 'not held'}>"

    def _try(self) -> bool:
        # A new holder each time, so that one that lost the lease can never renew what it took before.
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"
        with self._lock:
            self._holder = holder
        try:
            return self._timed(holder, take_lease, self._db)
        except BaseException:
            self._forget(holder)  # it may have been taken; but no thread renews it
            raise

    def _timed(self, holder: str, call: Callable[..., LeaseAnswer], db: Postgres | None = None) -> bool:
        """Takes or renews the lease, and remembers until when, reckoned from when the database was asked."""
        answer = call(db or self._quick_db, self.name, holder, self.seconds, _now)
        with self._lock:
            if holder == self._holder:  # not released meanwhile
                self._until = answer.asked_at + self.seconds if answer.is_held else -math.inf
                if not answer.is_held:
                    self._holder = ""
        return answer.is_held

    def _forget(self, holder: str) -> bool:
        """Whether this was still the holder."""
        with self._lock:
            is_current = holder == self._holder
            if is_current:
                self._holder, self._until = "", -math.inf
        return is_current

    def _renew_until_lost(self, holder: str, ended: threading.Event) -> None:
        while not ended.wait(self.seconds / 3):
            try:
                self._renew(holder)
            except TransientError as error:
                _logger.warning("the lease %r could not be renewed: %s", self.name, error)
            except Exception as error:  # noqa: BLE001  a thread has nobody to raise to; `renew` and `is_held` say it
                if not ended.is_set():
                    _logger.warning("the lease %r is not held any longer: %s", self.name, error)
                    self._forget(holder)
                return


def _now() -> float:
    return time.clock_gettime(_CLOCK)
