"""An end to statements that would hang: on a lock, on a frozen server, on a network that swallows everything.

The server ends what it knows of by itself (`lock_timeout`, `statement_timeout`). A server that does not get to it, or
whose words do not arrive, is left by closing the connection under the statement: libpq has no timeout for reading.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import attrs
import psycopg
import sqlalchemy as sa

# Shares of the time, so that the server speaks before the connection is cut, and the clearer error comes first.
_SHARES = {"lock_timeout": 0.8, "statement_timeout": 0.9}
# PostgreSQL counts milliseconds in 31 bits: whoever has more patience tries again after these 24 days.
_LONGEST = (2**31 - 1) / 1_000


def _bounded(seconds: float) -> float:
    return min(seconds, _LONGEST)


@attrs.frozen
class TimeLimit:
    """A time in seconds that a connection may be used for, from before it is made: no more than 24 days."""

    seconds: float = attrs.field(converter=_bounded)

    @classmethod
    def until(cls, ends: float, *, least: float) -> TimeLimit:
        """What is left until a time of `time.monotonic()`, but no less than some seconds."""
        return cls(max(ends - time.monotonic(), least))

    def on_the_server(self, *names: str) -> str:
        """What sets it for a transaction: those of `lock_timeout` and `statement_timeout` that nobody else has set."""
        settings = ", ".join(
            f"CASE current_setting('{name}') WHEN '0' "
            f"THEN set_config('{name}', '{max(1, round(self.seconds * _SHARES[name] * 1_000))}', true) END"
            for name in names or _SHARES
        )
        return f"SELECT {settings}"

    @contextlib.contextmanager
    def connect(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        """A connection that is cut when the time is over; what was waiting on it fails as by an outage.

        That goes for all that is said on it: by SQLAlchemy when it is new, and by a rollback at the end. Making it is
        bounded by the driver's `connect_timeout`. The engine must not ping, and is used by one thread at a time.

        Raises:
            TimeoutError: the time was over.
        """
        cut = _Cut()
        timer = threading.Timer(self.seconds, cut)
        timer.daemon = True
        timer.start()
        sa.event.listen(engine, "connect", cut.watch, insert=True)  # before SQLAlchemy's own first questions
        try:
            with engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                cut.watch(raw)
                try:
                    yield connection
                finally:
                    if raw.closed:
                        connection.invalidate()
        except Exception as error:
            if cut.expired:
                raise TimeoutError(f"no answer in {self.seconds:.1f} s, so that the connection was given up") from error
            raise
        finally:
            sa.event.remove(engine, "connect", cut.watch)
            timer.cancel()
            timer.join()


class _Cut:
    """Ends the connection that another thread is waiting on, once it is called; also one that is made only then."""

    def __init__(self) -> None:
        self.expired = False
        self._raw: Any = None
        self._lock = threading.Lock()

    def watch(self, raw: Any, _: object = None) -> None:
        with self._lock:
            self._raw = raw
            if self.expired:
                self._end()

    def __call__(self) -> None:
        with self._lock:
            self.expired = True
            if self._raw is not None:
                self._end()

    def _end(self) -> None:
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._raw.fileno())) as doubled,
        ):
            doubled.shutdown(socket.SHUT_RDWR)
