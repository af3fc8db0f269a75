"""The log of requests, one record for each: what was asked, by whom, and how it ended. Never a key, never a body."""

from __future__ import annotations

import logging
from typing import Final

from holded_pipeline.api.watching.current_request import RequestNotes

REQUEST_LOGGER: Final = "holded_pipeline.requests"
_logger = logging.getLogger(REQUEST_LOGGER)


def log_request(
    notes: RequestNotes, *, method: str, route: str, status: int, seconds: float, client: tuple[str, int] | None
) -> None:
    """Logs a request that has ended.

    Args:
        notes: what is known of it.
        method: of HTTP, or `other`.
        route: the template of its path.
        status: of the response.
        seconds: until the response was sent.
        client: its address and port.
    """
    fields = {
        "request_id": notes.request_id,
        "method": method,
        "route": route,
        "status": status,
        "seconds": round(seconds, 6),
        "bytes_in": notes.bytes_in,
        "bytes_out": notes.bytes_out,
        "key": notes.key,
        "address": client[0][:64] if client else None,
        "accepted": notes.accepted,
        "rejected": notes.rejected,
        "problem": notes.problem,
    }
    _logger.info("%s %s %d", method, route, status, extra={"request": fields})
