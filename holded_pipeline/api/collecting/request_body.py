"""Reads the body of a request, within limits of bytes, time and memory, and decompresses it."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from holded_pipeline.api.collecting.package_parsing import Layout
from holded_pipeline.api.collecting.request_budget import MemoryShare
from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Limits
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.store.compression import GZIP_MAGIC, decompress

_LAYOUTS: dict[str, Layout] = {"application/json": "json", "application/x-ndjson": "lines"}
_DECOMPRESS_ON_LOOP = 1 << 18  # compressed bytes; more are decompressed in a thread, so that the event loop goes on


def layout_of_content_type(request: Request) -> Layout:
    """The layout of the body by its Content-Type.

    Raises:
        Problem: 415; the API does not read such bodies.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    layout = _LAYOUTS.get(media_type.strip().lower())
    if layout is None:
        known = " or ".join(_LAYOUTS)
        # Forms are refused from this machine, too: a web page may send them to localhost without asking.
        curl = media_type.strip().lower() == "application/x-www-form-urlencoded"
        hint = ": curl -H 'Content-Type: application/json' -d …" if curl else ""
        raise Problem(415, "unsupported_media_type", f"send {known}, and name it in Content-Type{hint}")
    charsets = [each for each in parameters.lower().replace('"', "").split(";") if each.lstrip().startswith("charset=")]
    if any(each.strip() not in ("charset=utf-8", "charset=utf8") for each in charsets):
        raise Problem(415, "unsupported_charset", "JSON is always UTF-8; remove the charset from Content-Type")
    return layout


async def read_body(request: Request, share: MemoryShare, limits: Limits) -> bytes:
    """The whole body, decompressed.

    Raises:
        Problem: 400, 408, 413, 415 or 503, see `problems`.
        ClientDisconnect: the client closed the connection, so there is nobody to answer.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise Problem(
            415,
            "unsupported_encoding",
            "the only Content-Encoding is gzip; compress the body with it, or send it uncompressed",
        )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limits.body_bytes:
        raise _body_too_large(limits)
    try:
        async with asyncio.timeout(None) as deadline:
            body = await _read_chunks(request, share, limits, deadline)
    except TimeoutError as error:
        raise Problem(
            408,
            "too_slow",
            f"the body did not arrive within {limits.body_seconds:g} s, or came with less than"
            f" {limits.bytes_per_second:,} bytes a second; send smaller packages",
            {"Connection": "close"},
        ) from error
    if encoding not in ("gzip", "x-gzip"):
        return body
    if len(body) > _DECOMPRESS_ON_LOOP:
        return await asyncio.to_thread(_decompress_body, body, share, limits)
    return _decompress_body(body, share, limits)


async def _read_chunks(request: Request, share: MemoryShare, limits: Limits, deadline: asyncio.Timeout) -> bytes:
    """The body as it was sent. Each period of `stall_seconds` has to bring the bytes of the slowest rate."""
    now = asyncio.get_running_loop().time
    end = now() + limits.body_seconds
    deadline.reschedule(min(end, now() + limits.stall_seconds))
    enough = limits.bytes_per_second * limits.stall_seconds
    chunks: list[bytes] = []
    size = 0
    missing = enough
    async for chunk in request.stream():
        size += len(chunk)
        missing -= len(chunk)
        if missing <= 0:
            missing = enough
            deadline.reschedule(min(end, now() + limits.stall_seconds))
        if size > limits.body_bytes:
            raise _body_too_large(limits)
        share.reserve(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _decompress_body(body: bytes, share: MemoryShare, limits: Limits) -> bytes:
    if not body.startswith(GZIP_MAGIC):
        raise Problem(
            400,
            "invalid_gzip",
            "the body is not gzip, though Content-Encoding says so; compress it or remove the header",
        )
    chunks: list[bytes] = []
    size = 0
    try:
        for chunk in decompress([body]):
            size += len(chunk)
            if size > limits.inflated_bytes:
                raise Problem(
                    413,
                    "inflated_too_large",
                    f"the body inflates to more than {limits.inflated_bytes:,} bytes; split it into several packages",
                )
            share.reserve(len(chunk))
            chunks.append(chunk)
    except RejectRecord as error:
        raise Problem(400, "invalid_gzip", f"{error.message}; send it again") from error
    return b"".join(chunks)


def _body_too_large(limits: Limits) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"the body has more than {limits.body_bytes:,} bytes; split it into several packages, or compress it with gzip",
        {"Connection": "close"},
    )


__all__ = ["ClientDisconnect", "layout_of_content_type", "read_body"]
