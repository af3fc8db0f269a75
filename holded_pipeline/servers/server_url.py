"""The URL of a server, taken apart without showing it: what is typed there may hold a password."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def http_parts(url: str, whose: str, *, example: str) -> SplitResult:
    """The parts of a server's URL; an @ stands before the host only, as the end of a user's name and password.

    Raises:
        ValueError: it is none; the message does not repeat it.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{whose} must be a URL such as {example}")
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(f"{whose} has an @ after the host; a password in it must be percent-encoded")
    return parts


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is looked at no earlier
    except ValueError:  # whose words hold parts of the URL, so it is no cause of another error either
        return None
    return parts
