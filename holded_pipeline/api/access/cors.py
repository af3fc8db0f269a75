"""CORS: which web pages may call the API from a browser. None by default."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

_HEADERS = (
    "X-API-Key",
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "X-Request-ID",
    "traceparent",
    "tracestate",
)
_ORIGIN: Final = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")  # browsers send lower case
_EXPOSED = ("X-Request-ID", "Retry-After")
_SECONDS = 600


def cors_settings(origins: Sequence[str], *, has_keys: bool) -> dict[str, Any]:
    """The arguments of starlette's `CORSMiddleware`.

    Credentials in the sense of CORS, cookies for example, are never allowed: pages send an API key in a header.

    Args:
        origins: such as `https://app.example.com`; `*` for every page.
        has_keys: whether the API has keys.

    Raises:
        ValueError: one of them is no origin; or every page may call an API without keys.
    """
    if isinstance(origins, str):
        raise ValueError(f"cors_origins must be a list of origins, not the text {origins!r}; write [{origins!r}]")  # noqa: TRY004
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"cors_origins has {origin!r}, which is no origin; write a scheme, a host and if needed a port, like "
                "https://app.example.com, without a path"
            )
    if "*" in origins and not has_keys:
        raise ValueError(
            "cors_origins=['*'] without API keys would let every web page read and send events through the browser of "
            "this machine; give create_app keys, or name the origins"
        )
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "HEAD", "POST"],
        "allow_headers": list(_HEADERS),
        "allow_credentials": False,
        "expose_headers": list(_EXPOSED),
        "max_age": _SECONDS,
    }
