"""A request's body: read within bounds of bytes, of time and of memory, and inflated no further than is accepted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from starlette.requests import ClientDisconnect, Request

from holded_pipeline.api.package import Layout
from holded_pipeline.api.problems import Problem, not_now
from holded_pipeline.api.settings import Limits
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.store.compression import GZIP_MAGIC, decompress

_LAYOUTS: dict[str, Layout] = {"application/json": "json", "application/x-ndjson": "lines"}
_INFLATE_AT_ONCE = 1 << 18  # compressed bytes that are inflated on the event loop; more would hold others up


class Memory:
    """The bytes that all requests together may hold."""

    def __init__(self, limit: int, retry_after: int) -> None:
        self._limit = limit
        self._retry_after = retry_after
        self.held = 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """A request's part, given back at its end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.held

    def take(self, size: int) -> None:
        """Takes so many bytes.

        Raises:
            Problem: 503 if there are not so many left.
        """
        if self.held + size > self._limit:
            raise not_now("busy", "other requests fill the memory set aside for bodies", self._retry_after)
        self.held += size


class Share:
    """What one request holds."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.held = 0

    def take(self, size: int) -> None:
        """See `Memory.take`."""
        self._memory.take(size)
        self.held += size


def layout_of_content_type(request: Request) -> Layout:
    """How the body says it is laid out.

    Raises:
        Problem: 415 if the API does not read such bodies.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    layout = _LAYOUTS.get(media_type.strip().lower())
    if layout is None:
        known = " or ".join(_LAYOUTS)
        raise Problem(415, "unsupported_media_type", f"send the body as {known}, and say so in Content-Type")
    charsets = [each for each in parameters.lower().replace('"', "").split(";") if each.lstrip().startswith("charset=")]
    if any(each.strip() not in ("charset=utf-8", "charset=utf8") for each in charsets):
        raise Problem(415, "unsupported_charset", "JSON is sent in UTF-8; leave the charset out")
    return layout


async def read_body(request: Request, share: Share, limits: Limits) -> bytes:
    """The whole body, inflated.

    Raises:
        Problem: 400, 408, 413, 415 or 503, see `problems`.
        ClientDisconnect: the client went away; nothing is to be answered.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise Problem(415, "unsupported_encoding", "Content-Encoding may be gzip; send the body so, or as it is")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limits.body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            body = await _received(request, share, limits)
    except TimeoutError as error:
        raise Problem(
            408,
            "too_slow",
            f"the body was not there within {limits.body_seconds:g} s; send smaller packages",
            {"Connection": "close"},
        ) from error
    if encoding not in ("gzip", "x-gzip"):
        return body
    if len(body) > _INFLATE_AT_ONCE:
        return await asyncio.to_thread(_inflated, body, share, limits)
    return _inflated(body, share, limits)


async def _received(request: Request, share: Share, limits: Limits) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.body_bytes:
            raise _too_large(limits)
        share.take(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _inflated(body: bytes, share: Share, limits: Limits) -> bytes:
    if not body.startswith(GZIP_MAGIC):
        raise Problem(400, "invalid_gzip", "Content-Encoding says gzip and the body is none; send one of the two")
    chunks: list[bytes] = []
    size = 0
    try:
        for chunk in decompress([body]):
            size += len(chunk)
            if size > limits.inflated_bytes:
                most = f"{limits.inflated_bytes:,}"
                raise Problem(413, "inflated_too_large", f"the body inflates to more than {most} bytes; send less")
            share.take(len(chunk))
            chunks.append(chunk)
    except RejectRecord as error:
        raise Problem(400, "invalid_gzip", f"{error.message}; send it again") from error
    return b"".join(chunks)


def _too_large(limits: Limits) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"the body has more than {limits.body_bytes:,} bytes; send several packages, or gzip",
        {"Connection": "close"},
    )


__all__ = ["ClientDisconnect", "Memory", "Share", "layout_of_content_type", "read_body"]
