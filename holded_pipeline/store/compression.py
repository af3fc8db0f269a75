"""gzip and zstd as streams; told apart by their first bytes, not by a file's name."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

import zstandard

from holded_pipeline.model.errors import RejectRecord

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAGIC_BYTES = 4
# RFC 8878, 3.1.2: 16 numbers begin a frame that decoders skip. pzstd puts one before each frame of data.
_SKIPPABLE_MAGICS = tuple((0x184D2A50 + number).to_bytes(_MAGIC_BYTES, "little") for number in range(16))
_ZSTD_MAGICS = (ZSTD_MAGIC, *_SKIPPABLE_MAGICS)
_GZIP_BITE = 1 << 14  # what follows a member is copied for each member; a member may have 20 bytes
_STEP = 1 << 20  # bytes decompressed at a time, so that a small object cannot become a large memory
_ZSTD_BITE = 1 << 10  # zstd's object has no bound on its output; 1 KiB of input makes 32 MiB at the very most
_PIECE = 4 << 20  # bytes of text, at least, that are handed on together
_ZSTD_WINDOW = 1 << 27  # 128 MiB, what the zstd command line accepts without --long


def is_compressed(head: bytes) -> bool:
    """Whether an object that begins with these bytes is gzip or zstd."""
    return head.startswith((GZIP_MAGIC, *_ZSTD_MAGICS))


def damage(chunks: Iterable[bytes]) -> RejectRecord | None:
    """What is wrong with a compressed object; None when it is whole, or not compressed at all.

    gzip's checksum stands at its end, so text must not be trusted before all of it went by.
    """
    try:
        for _ in decompress(chunks):
            pass
    except RejectRecord as fault:
        return fault
    return None


def decompress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of an object in pieces of bounded size; plain objects go through as they are.

    Raises:
        RejectRecord: `corrupt_compression`, after everything before the damage was yielded.
    """
    stream = iter(chunks)
    head = b""
    for chunk in stream:
        head += chunk
        if len(head) >= _MAGIC_BYTES:
            break
    whole = chain([head], stream) if head else iter(())
    if head.startswith(GZIP_MAGIC):
        yield from _joined(_gunzip(whole))
    elif head.startswith(_ZSTD_MAGICS):
        yield from _joined(_unzstd(whole))
    else:
        yield from whole


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same in fewer pieces: whoever looks for the end of a value looks at what is open of it with each one."""
    held: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= _PIECE:
                yield b"".join(held)
                held, size = [], 0
    except RejectRecord:
        yield b"".join(held)
        raise
    if size:
        yield b"".join(held)


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    for bite in _bites(chunks):
        pending = bite
        while pending:
            if inflater.eof:  # a gzip file may have several members, one after the other
                pending = pending.lstrip(b"\0")  # tar and friends pad with zeros
                if not pending:
                    break
                inflater = zlib.decompressobj(wbits=31)
            try:
                yield inflater.decompress(pending, _STEP)
            except zlib.error as error:
                raise RejectRecord("corrupt_compression", f"the gzip data are damaged: {error}") from error
            pending = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if not inflater.eof:
        raise RejectRecord("corrupt_compression", "the gzip data end in the middle; upload the object again")


def _bites(chunks: Iterable[bytes]) -> Iterator[bytes]:
    return (chunk[at : at + _GZIP_BITE] for chunk in chunks for at in range(0, len(chunk), _GZIP_BITE))


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame = context.decompressobj()
    for chunk in chunks:
        for start in range(0, len(chunk), _ZSTD_BITE):
            pending = chunk[start : start + _ZSTD_BITE]
            while pending:
                if frame.eof:
                    frame = context.decompressobj()
                try:
                    yield frame.decompress(pending)
                except zstandard.ZstdError as error:
                    raise RejectRecord("corrupt_compression", f"the zstd data are damaged: {error}") from error
                pending = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise RejectRecord("corrupt_compression", "the zstd data end in the middle; upload the object again")
