"""Which addresses are those of the reverse proxy that is trusted."""

from __future__ import annotations

import ipaddress


class TrustedProxy:
    """The addresses of the proxy, as uvicorn reads `forwarded_allow_ips`.

    Args:
        addresses: addresses or networks, with commas between them, or `*` for all; None for no proxy.
    """

    def __init__(self, addresses: str | None) -> None:
        listed = [each.strip() for each in (addresses or "").split(",") if each.strip()]
        self._is_any = "*" in listed
        self._networks = []
        for each in listed:
            try:
                self._networks.append(ipaddress.ip_network(each, strict=False))
            except ValueError:
                continue  # the name of a Unix socket, or `*`

    def has(self, host: str) -> bool:
        """Whether the address is one of the proxy's."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return self._is_any
        address = getattr(address, "ipv4_mapped", None) or address
        return self._is_any or any(address in network for network in self._networks)
