"""The URL of a server, parsed without showing it in errors, since it may contain a password."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def parse_http_url(url: str, whose: str, *, example: str) -> SplitResult:
    """The parts of a server's URL. An @ may stand only before the host, after a user's name and password.

    Raises:
        ValueError: it is not a URL of HTTP; the message does not contain it.
    """
    parts = _split_url(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{whose} must be a URL such as {example}")
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(f"{whose} has an @ after the host; a password in it must be percent-encoded")
    return parts


def _split_url(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which raises for a wrong port
    except ValueError:  # its message has parts of the URL, so it must not be the cause of another error either
        return None
    return parts
