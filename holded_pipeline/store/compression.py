"""How objects are compressed: one table of codecs, and what reads and writes with them.

An object is read by its first bytes, whatever its key ends in. A codec put into `CODECS` is read and written
everywhere; its name is added to `Compression` for type checkers.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, Literal, Protocol

import attrs
import zstandard
from isal import isal_zlib

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.store.bz2_and_xz import BZ2_MAGICS, XZ_MAGIC, decompress_bz2, decompress_xz
from holded_pipeline.store.formats import HEAD_BYTES, require_text
from holded_pipeline.store.zstd_frames import ZSTD_MAGICS, cut_chunks, decompress_zstd

Compression = Literal["gzip", "zstd", "bzip2", "xz"]

GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_INPUT = 1 << 14  # bytes of input at a time: the rest is copied for each member, and a member may have 20 bytes
_GZIP_OUTPUT = 1 << 20  # bytes of output at a time, so that a small object cannot become a large memory
_HELD = 8 << 20  # bytes of text that are held until the whole object is known to be undamaged
_CHUNK = 4 << 20  # bytes of text that a chunk has at least, unless it is the last


class Compressor(Protocol):
    """Compresses one object; `flush` ends it."""

    def compress(self, data: bytes, /) -> bytes:
        """The compressed bytes that are ready by then; the others come later."""
        ...

    def flush(self) -> bytes:
        """The compressed bytes that are left."""
        ...


@attrs.frozen
class Codec:
    """One way to compress objects.

    Attributes:
        ending: what keys of such objects end in, in lower case, e.g. `.gz`.
        magics: the bytes that such objects begin with; one of them is enough.
        decompress: makes text of compressed chunks. Its chunks have a bounded size. Raises `RejectRecord` with the
            reason `corrupt_compression`, after all the text before the damage.
        compressor: makes a new compressor. Equal input makes equal output, so no time goes in.
    """

    ending: str
    magics: tuple[bytes, ...]
    decompress: Callable[[Iterable[bytes]], Iterator[bytes]]
    compressor: Callable[[], Compressor]


class NoCompressor:
    """Leaves the bytes as they are."""

    def compress(self, data: bytes) -> bytes:
        """The same bytes."""
        return data

    def flush(self) -> bytes:
        """Nothing."""
        return b""


class _GzipCompressor:
    """Gives out all it has after each call: isal would keep up to 500 KiB, and an object would not see its own size."""

    def __init__(self) -> None:
        self._deflater = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31)  # its header holds no time

    def compress(self, data: bytes) -> bytes:
        """The compressed bytes of all data so far that were not given out."""
        return bytes(self._deflater.compress(data) + self._deflater.flush(isal_zlib.Z_SYNC_FLUSH))

    def flush(self) -> bytes:
        """The end of the object."""
        return bytes(self._deflater.flush())


def new_compressor(compression: str | None) -> Compressor:
    """A compressor of the codec `compression`; None for objects that are not compressed."""
    return NoCompressor() if compression is None else CODECS[compression].compressor()


def jsonl_ending(compression: str | None) -> str:
    """What keys of JSON lines end in, e.g. `.jsonl.gz`."""
    return ".jsonl" if compression is None else f".jsonl{CODECS[compression].ending}"


def without_compression_ending(key: str) -> str:
    """The key without the ending of a codec, in any case: `raw/a.jsonl` of `raw/a.jsonl.GZ`."""
    ending = next((codec.ending for codec in CODECS.values() if key.lower().endswith(codec.ending)), "")
    return key[: len(key) - len(ending)]


def validate_compression(_: object, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    """Checks the attribute of an attrs class.

    Raises:
        ValueError: it is neither None nor the name of a codec.
    """
    if value is not None and value not in CODECS:
        known = ", ".join(map(repr, CODECS))
        raise ValueError(f"{attribute.name} must be {known} or None, got {value!r}")


def is_compressed(head: bytes) -> bool:
    """Whether an object that begins with these bytes is compressed."""
    return _codec_of(head) is not None


def _codec_of(head: bytes) -> Codec | None:
    return next((codec for codec in CODECS.values() if head.startswith(codec.magics)), None)


def checked_text(open_chunks: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """The text of an object in chunks of bounded size, after all of a compressed object was found whole.

    gzip's checksum stands at its end, so text must not be trusted before all of it went by. A text of up to 8 MiB is
    held meanwhile; a larger one is decompressed again.

    Args:
        open_chunks: returns the object's chunks from its start; called once more for a large text.

    Raises:
        RejectRecord: `corrupt_compression` or `unsupported_format`, before any text.
    """
    head, whole = _with_head(open_chunks(), HEAD_BYTES)
    if not is_compressed(head):
        return _checked_format(whole)
    held: deque[bytes] = deque()
    size = 0
    for text in _checked_format(decompress(whole)):
        size += len(text)
        if size <= _HELD:
            held.append(text)
        else:
            held.clear()
    return _release_chunks(held) if size <= _HELD else decompress(open_chunks())


def _checked_format(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, if they are a text by their first ones."""
    head, whole = _with_head(chunks, HEAD_BYTES)
    codec = _codec_of(head)
    if codec is not None:
        name = next(name for name, known in CODECS.items() if known is codec)
        raise RejectRecord("unsupported_format", f"the object is {name} inside another compression; compress it once")
    require_text(head[:HEAD_BYTES])
    return whole


def _with_head(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """At least `size` first bytes, if there are so many; and all chunks."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= size:
            break
    return head, chain([head], chunks) if head else iter(())


def is_text(head: bytes) -> bool:
    """Whether an object that begins with these bytes is a text that is not compressed."""
    try:
        require_text(head[:HEAD_BYTES])
    except RejectRecord:
        return False
    return not is_compressed(head)


def _release_chunks(chunks: deque[bytes]) -> Iterator[bytes]:
    while chunks:
        yield chunks.popleft()  # not held while it is framed


def decompress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of an object in chunks of bounded size; those of an object that is not compressed stay as they are.

    Raises:
        RejectRecord: `corrupt_compression`, after everything before the damage was yielded.
    """
    head, whole = _with_head(iter(chunks), max(len(magic) for codec in CODECS.values() for magic in codec.magics))
    codec = _codec_of(head)
    yield from whole if codec is None else _merge_chunks(codec.decompress(whole))


def _merge_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer chunks: framing looks at all that is open of a value again with each chunk."""
    merged: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            merged.append(chunk)
            size += len(chunk)
            if size >= _CHUNK:
                yield b"".join(merged)
                merged, size = [], 0
    except RejectRecord:
        yield b"".join(merged)
        raise
    if size:
        yield b"".join(merged)


# By zlib, although isal is quicker: isal 1.9 rejects valid headers that have optional fields, and accepts damaged ones.
def _decompress_gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    for chunk in cut_chunks(chunks, _GZIP_INPUT):
        pending = chunk
        while pending:
            if inflater.eof:  # a gzip file may have several members, one after the other
                pending = pending.lstrip(b"\0")  # tar and friends pad with zeros
                if not pending:
                    break
                inflater = zlib.decompressobj(wbits=31)
            try:
                yield inflater.decompress(pending, _GZIP_OUTPUT)
            except zlib.error as error:
                raise RejectRecord("corrupt_compression", f"the gzip data are damaged: {error}") from error
            pending = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if not inflater.eof:
        raise RejectRecord("corrupt_compression", "the gzip data end in the middle; upload the object again")


CODECS: dict[str, Codec] = {
    "gzip": Codec(
        ending=".gz",
        magics=(GZIP_MAGIC,),
        decompress=_decompress_gzip,
        compressor=_GzipCompressor,
    ),
    "zstd": Codec(
        ending=".zst",
        magics=ZSTD_MAGICS,
        decompress=decompress_zstd,
        compressor=lambda: zstandard.ZstdCompressor(write_checksum=True).compressobj(),
    ),
    "bzip2": Codec(ending=".bz2", magics=BZ2_MAGICS, decompress=decompress_bz2, compressor=bz2.BZ2Compressor),
    "xz": Codec(ending=".xz", magics=(XZ_MAGIC,), decompress=decompress_xz, compressor=lzma.LZMACompressor),
}
"""The codecs by name; `compression=` takes these names."""
