"""The address that limits count a client by."""

from __future__ import annotations

import functools
import ipaddress

_LOOPBACK = "loopback"


@functools.lru_cache(maxsize=4_096)
def client_address(host: str) -> str:
    """The address that limits count a client by.

    One client usually has a whole /64 network of IPv6, so all its addresses count as one. So do all loopback
    addresses: any program of this machine may use any of 127.0.0.0/8.

    Args:
        host: the IP address of the client; other texts, such as the name of a Unix socket, are returned as they are.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return _LOOPBACK
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))  # noqa: PLR2004  IPv4
