"""All connections of a listener: how many there may be, which one goes when there are too many, and which are slow."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from typing import Protocol

from holded_pipeline.api.access.client_address import client_address
from holded_pipeline.api.serving.trusted_proxy import TrustedProxy
from holded_pipeline.api.settings import Limits

_TICK_SECONDS = 1.0
_STOPPING_SECONDS = 2.0
_REPORT_SECONDS = 60.0
_logger = logging.getLogger("holded_pipeline.api")


class Connection(Protocol):
    """What the table needs of a connection."""

    def abort(self) -> None:
        """Closes it at once, whatever is unsent."""

    def check_rate(self, now: float, seconds: float) -> None:
        """Aborts it if its client took too little for these seconds."""


class ConnectionTable:
    """The connections of one listener.

    When an address has all the connections that it may have, or the listener has, a new connection replaces one that
    waits for its client: for a request, for the rest of a body, or until a response is taken. It is the one that has
    waited longest; of all connections, that of the address that has most, so that an address with few keeps them. If
    the server works on a request of each, the new one is closed.

    Once a second each connection checks whether its client takes what was sent.

    Args:
        limits: see `Limits`.
        proxy: addresses that may have all connections.
    """

    def __init__(self, limits: Limits, proxy: TrustedProxy) -> None:
        self._limits = limits
        self._proxy = proxy
        self._addresses: dict[Connection, str] = {}
        self._counts: Counter[str] = Counter()
        # By address, in the order in which they began to wait for their clients: the first one is replaced first.
        self._replaceable: defaultdict[str, dict[Connection, None]] = defaultdict(dict)
        self._timer: asyncio.TimerHandle | None = None
        self._closed: Counter[str] = Counter()
        self._reported_at = float("-inf")
        self.is_stopping = False

    def __len__(self) -> int:
        return len(self._addresses)

    def admit(self, connection: Connection, host: str) -> bool:
        """Adds a new connection; returns False if there is no place for it.

        Args:
            connection: the new one.
            host: the address of its client.
        """
        is_proxy = self._proxy.has(host)
        address = f"proxy {host}" if is_proxy else client_address(host)
        if not is_proxy and self._counts[address] >= self._limits.address_connections:
            has_place = self._replace_one_of(address)
        else:
            has_place = len(self) < self._limits.connections or self._replace_any()
        if not has_place:
            self._closed["refused"] += 1
            return False
        self._addresses[connection] = address
        self._counts[address] += 1
        self._replaceable[address][connection] = None
        if self._timer is None:
            self._start_timer()
        return True

    def remove(self, connection: Connection) -> None:
        """Removes a connection that has ended."""
        address = self._addresses.pop(connection, None)
        if address is None:
            return
        self._replaceable[address].pop(connection, None)
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]
            self._replaceable.pop(address, None)

    def is_needed(self, connection: Connection) -> None:
        """The server works on a request of this connection, so it is not replaced."""
        if (address := self._addresses.get(connection)) is not None:
            self._replaceable[address].pop(connection, None)

    def is_waiting(self, connection: Connection) -> None:
        """The connection waits for its client, so it may be replaced, after all that have waited for longer."""
        if (address := self._addresses.get(connection)) is not None:
            waiting = self._replaceable[address]
            waiting.pop(connection, None)
            waiting[connection] = None

    def count_slow(self) -> None:
        """Counts a connection that was closed because its client was too slow."""
        self._closed["too slow"] += 1

    def _replace_any(self) -> bool:
        """Ends a connection of the address that has most; those of the proxy only if there is no other."""
        by_size = sorted(self._counts, key=lambda each: (each.startswith("proxy "), -self._counts[each]))
        return any(self._replace_one_of(address) for address in by_size)

    def _replace_one_of(self, address: str) -> bool:
        waiting = self._replaceable.get(address)
        if not waiting:
            return False
        connection = next(iter(waiting))
        self.remove(connection)
        connection.abort()
        self._closed["replaced"] += 1
        return True

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._check_rates)

    def _check_rates(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        seconds = self._limits.stall_seconds
        if self.is_stopping:
            seconds = min(seconds, _STOPPING_SECONDS)
        for connection in list(self._addresses):
            connection.check_rate(now, seconds)
        self._report(now)
        if self._addresses:
            self._start_timer()

    def _report(self, now: float) -> None:
        """Logs at most once a minute what was closed."""
        if not self._closed or now - self._reported_at < _REPORT_SECONDS:
            return
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(self._closed.items()))
        _logger.warning("connections closed since the last line like this: %s; %d are open", counts, len(self))
        self._closed.clear()
        self._reported_at = now
