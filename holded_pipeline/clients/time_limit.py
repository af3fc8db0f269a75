"""An end to statements that would hang: on a lock, on a frozen server, on a network that swallows everything.

The server ends what it knows of by itself (`lock_timeout`, `statement_timeout`). A server that does not get to it, or
whose words do not arrive, is left by closing the connection under the statement: libpq has no timeout for reading.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import sqlalchemy as sa

# Shares of the time, so that the server speaks before the connection is cut, and the clearer error comes first.
_SHARES = {"lock_timeout": 0.8, "statement_timeout": 0.9}


@attrs.frozen
class TimeLimit:
    """A time in seconds that statements on a connection may take, all together."""

    seconds: float

    def on_the_server(self, *names: str) -> str:
        """What sets it for a transaction: those of `lock_timeout` and `statement_timeout` that nobody else has set."""
        settings = ", ".join(
            f"CASE current_setting('{name}') WHEN '0' "
            f"THEN set_config('{name}', '{max(1, round(self.seconds * _SHARES[name] * 1_000))}', true) END"
            for name in names or _SHARES
        )
        return f"SELECT {settings}"

    @contextlib.contextmanager
    def over(self, connection: sa.Connection) -> Iterator[None]:
        """Cuts the connection when the time is over; what was waiting on it fails as by an outage.

        Raises:
            TimeoutError: the time was over.
        """
        raw: Any = connection.connection.driver_connection
        expired = threading.Event()
        timer = threading.Timer(self.seconds, _cut, (raw, expired))
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if expired.is_set():
                raise TimeoutError(f"no answer in {self.seconds:.1f} s, so that the connection was given up") from error
            raise
        finally:
            timer.cancel()
            timer.join()
            if raw.closed:
                connection.invalidate()


def _cut(raw: Any, expired: threading.Event) -> None:
    """Ends a connection that another thread is waiting on."""
    expired.set()
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(raw.fileno())) as doubled:
        doubled.shutdown(socket.SHUT_RDWR)
