"""zstd: read in chunks of bounded size, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import zstandard

from holded_pipeline.model.errors import RejectRecord

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# RFC 8878, 3.1.2: 16 numbers begin a frame that decoders skip. pzstd puts one before each frame of data.
_SKIPPABLE_MAGICS = tuple((0x184D2A50 + number).to_bytes(4, "little") for number in range(16))
ZSTD_MAGICS = (_ZSTD_MAGIC, *_SKIPPABLE_MAGICS)
_ZSTD_INPUT = 1 << 10  # zstd's object has no bound on its output; 1 KiB of input makes 32 MiB at the very most
_ZSTD_WINDOW = 1 << 27  # 128 MiB, what the zstd command line accepts without --long


def cut_chunks(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in chunks of at most `size`."""
    return (chunk[start : start + size] for chunk in chunks for start in range(0, len(chunk), size))


def decompress_zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a zstd object, of one or several frames; see `Codec.decompress`."""
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame = context.decompressobj()
    for chunk in cut_chunks(chunks, _ZSTD_INPUT):
        pending = chunk
        while pending:
            if frame.eof:
                frame = context.decompressobj()
            try:
                yield frame.decompress(pending)
            except zstandard.ZstdError as error:
                raise _zstd_fault(error) from error
            pending = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise RejectRecord("corrupt_compression", "the zstd data end in the middle; upload the object again")


def _zstd_fault(error: zstandard.ZstdError) -> RejectRecord:
    """What an error means: libzstd's words for a long window and for a dictionary are a part of its interface."""
    if "too much memory" in str(error):
        limit = f"at most {_ZSTD_WINDOW >> 20} MiB can be read; compress it without --long, or with --long=27"
        return RejectRecord("unsupported_format", f"the object is zstd with a long window, of which {limit}")
    if "Dictionary mismatch" in str(error):
        return RejectRecord("unsupported_format", "the object is zstd with a dictionary; compress it without one")
    return RejectRecord("corrupt_compression", f"the zstd data are damaged: {error}")
