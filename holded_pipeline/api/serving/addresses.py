"""The addresses that `localhost` stands for: 127.0.0.1, and ::1 where this machine has IPv6."""

from __future__ import annotations

import socket

_IPV4, _IPV6 = "127.0.0.1", "::1"


def listening_addresses(host: str) -> str | list[str]:
    """The addresses to listen on for a host, as asyncio takes them: both of `localhost`, else the host itself.

    Clients try ::1 first. It depends on the machine whether the name `localhost` has that address, and in a container
    without IPv6 it may have it though listening on it fails.
    """
    if host != "localhost":
        return host
    try:
        with socket.create_server((_IPV6, 0), family=socket.AF_INET6):
            return [_IPV4, _IPV6]
    except OSError:
        return _IPV4
