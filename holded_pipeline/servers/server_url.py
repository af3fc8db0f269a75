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
        raise ValueError(f"{whose} must be a URL such as {example}{_missing_in(url)}")
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(f"{whose} has an @ after the host; a password in it must be percent-encoded")
    return parts


def _missing_in(url: str) -> str:
    """What a text lacks to be a URL of HTTP, as the end of a message."""
    scheme, found, _ = url.partition("://") if isinstance(url, str) else ("", "", "")
    if not url or not isinstance(url, str):
        return f", got {'an empty text' if url == '' else type(url).__name__}"
    if not found:
        return "; write http:// or https:// in front"
    return f", not of {scheme}://" if scheme.isalnum() and scheme.lower() not in ("http", "https") else ""


def _split_url(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which raises for a wrong port
    except (
        ValueError,
        TypeError,
        AttributeError,
    ):  # its message has parts of the URL, so it must not be the cause of another error either
        return None
    return parts
