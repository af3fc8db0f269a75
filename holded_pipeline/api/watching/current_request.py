"""What is known of the request that this code works for: its id, and what its log line will say."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from typing import Any, Final

import attrs

REQUEST_ID_HEADER: Final = b"x-request-id"
_PLAIN: Final = re.compile(rb"[A-Za-z0-9._:=+/-]{1,64}")


@attrs.define(eq=False)
class RequestNotes:
    """What is known of a request.

    Attributes:
        request_id: the client's or a new one.
        key: the name of its API key.
        accepted: events that were accepted.
        rejected: events that were rejected.
        problem: the code of its error response.
        bytes_in: bytes of its body that were read; counted for the log alone.
        bytes_out: bytes of the body of its response; as above.
        tracer: makes its spans; None if there are none.
        trace_id: of its span.
    """

    request_id: str
    key: str | None = None
    accepted: int | None = None
    rejected: int | None = None
    problem: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    tracer: Any = None
    trace_id: str | None = None


# A context variable, so that code far from the request need not be passed it.
CURRENT: Final[ContextVar[RequestNotes | None]] = ContextVar("holded_pipeline_request", default=None)


def current_request() -> RequestNotes | None:
    """The request that this code works for, None outside of one."""
    return CURRENT.get()


def request_id_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The request id that a client sent, if it is short and plain; else a new one."""
    for name, value in headers:
        if name == REQUEST_ID_HEADER and _PLAIN.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)


def note_key(name: str) -> None:
    """Notes the name of the request's API key."""
    if (notes := CURRENT.get()) is not None:
        notes.key = name


def note_events(accepted: int, rejected: int) -> None:
    """Notes how many events were accepted and rejected."""
    if (notes := CURRENT.get()) is not None:
        notes.accepted, notes.rejected = accepted, rejected


def note_problem(code: str) -> None:
    """Notes the code of an error response."""
    if (notes := CURRENT.get()) is not None:
        notes.problem = code
