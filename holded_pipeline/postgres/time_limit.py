"""An end to statements that would hang: on a lock, on a frozen server, on a network that drops every packet.

The server itself ends what waits too long (`lock_timeout`, `statement_timeout`). If it cannot, or if its answer does
not arrive, the client closes the connection under the statement: libpq has no timeout for reading.
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

from holded_pipeline.postgres.sqlstate import ErrorOrigin, classify_error

# Shares of the time: the server's timeouts come before the connection is closed, because its error is the clearer one.
_SHARES = {"lock_timeout": 0.8, "statement_timeout": 0.9}
# PostgreSQL counts milliseconds in 31 bits. With a later deadline than these 24 days the attempt is repeated.
_LONGEST = (2**31 - 1) / 1_000


def _limit_seconds(seconds: float) -> float:
    return min(seconds, _LONGEST)


@attrs.frozen
class TimeLimit:
    """How many seconds a connection may be used for, connecting included: no more than 24 days."""

    seconds: float = attrs.field(converter=_limit_seconds)

    def set_timeouts_sql(self, *names: str) -> str:
        """The statement that sets the server's timeouts for the transaction, where the user has not set them.

        Args:
            names: `lock_timeout` or `statement_timeout`; both if none is given.
        """
        settings = ", ".join(
            f"CASE current_setting('{name}') WHEN '0' "
            f"THEN set_config('{name}', '{max(1, round(self.seconds * _SHARES[name] * 1_000))}', true) END"
            for name in names or _SHARES
        )
        return f"SELECT {settings}"

    @contextlib.contextmanager
    def connect(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        """A connection that is closed when the time is over; what was waiting on it fails as by an outage.

        This bounds every statement on it, those of SQLAlchemy on a new connection and a rollback at the end included.
        Connecting is bounded by the driver's `connect_timeout`. The engine must not ping, and is used by one thread at
        a time.

        Raises:
            TimeoutError: the time was over.
        """
        closer = _ConnectionCloser()
        timer = threading.Timer(self.seconds, closer)
        timer.daemon = True
        timer.start()
        sa.event.listen(engine, "connect", closer.watch, insert=True)  # before SQLAlchemy's own first statements
        try:
            with engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                closer.watch(raw)
                try:
                    yield connection
                except Exception as error:
                    if not raw.closed and classify_error(error) is ErrorOrigin.OUTAGE:
                        raw.close()  # another connection may reach another server, as after a failover
                    raise
                finally:
                    if raw.closed:
                        connection.invalidate()
        except Exception as error:
            if closer.expired:
                raise TimeoutError(f"no answer in {self.seconds:.1f} s, so the connection was closed") from error
            raise
        finally:
            sa.event.remove(engine, "connect", closer.watch)
            timer.cancel()
            timer.join()


@attrs.frozen
class Deadline:
    """When a call with several attempts gives up.

    Attributes:
        ends: a time of `time.monotonic()`.
        minimum: seconds that an attempt has, however late it begins.
    """

    ends: float
    minimum: float

    def time_limit(self) -> TimeLimit:
        """The limit of a connection that is made now."""
        return TimeLimit(max(self.ends - time.monotonic(), self.minimum))


class _ConnectionCloser:
    """Closes the connection that another thread is waiting on when it is called; and one that is made afterwards."""

    def __init__(self) -> None:
        self.expired = False
        self._raw: Any = None
        self._lock = threading.Lock()

    def watch(self, raw: Any, _: object = None) -> None:
        with self._lock:
            self._raw = raw
            if self.expired:
                self._close()

    def __call__(self) -> None:
        with self._lock:
            self.expired = True
            if self._raw is not None:
                self._close()

    def _close(self) -> None:
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._raw.fileno())) as duplicate,
        ):
            duplicate.shutdown(socket.SHUT_RDWR)
