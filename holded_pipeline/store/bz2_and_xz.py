"""bzip2 and xz: read in chunks of bounded size, by what Python brings."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from holded_pipeline.model.errors import RejectRecord

# A level, then the magic of a block or of an empty stream: `BZh` alone may begin a text.
BZ2_MAGICS: Final = tuple(
    b"BZh%d" % level + block
    for level in range(1, 10)
    for block in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
)
XZ_MAGIC: Final = b"\xfd7zXZ\0"
_INPUT = 1 << 14  # bytes of input at a time: the rest is copied for each stream, and a stream may have 14 bytes
_OUTPUT = 1 << 20  # bytes of output at a time, so that a small object cannot become a large memory
_XZ_MEMORY = 256 << 20  # what a decompressor may take; xz -9 takes 65 MiB


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def decompress_bz2(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a bzip2 object, of one or several streams; see `Codec.decompress`."""
    return _decompress(chunks, bz2.BZ2Decompressor, "bzip2")


def decompress_xz(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of an xz object, of one or several streams; see `Codec.decompress`."""
    return _decompress(chunks, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), "xz")


def _decompress(chunks: Iterable[bytes], new: Callable[[], _Decompressor], name: str) -> Iterator[bytes]:
    decompressor = new()
    for chunk in chunks:
        for start in range(0, len(chunk), _INPUT):
            pending = chunk[start : start + _INPUT]
            while pending:
                if decompressor.eof:
                    pending = pending.lstrip(b"\0")  # xz pads with zeros, as tar does
                    if not pending:
                        break
                    decompressor = new()
                try:
                    yield from _outputs(decompressor, pending)
                except (OSError, lzma.LZMAError) as error:
                    raise _fault(name, error) from error
                pending = decompressor.unused_data if decompressor.eof else b""
    if not decompressor.eof:
        raise RejectRecord("corrupt_compression", f"the {name} data end in the middle; upload the object again")


def _outputs(decompressor: _Decompressor, data: bytes) -> Iterator[bytes]:
    yield decompressor.decompress(data, _OUTPUT)
    while not (decompressor.eof or decompressor.needs_input):
        yield decompressor.decompress(b"", _OUTPUT)


def _fault(name: str, error: Exception) -> RejectRecord:
    if "Memory usage limit" in str(error):
        return RejectRecord(
            "unsupported_format",
            f"the {name} data need more than {_XZ_MEMORY >> 20} MiB of memory; compress the object by xz -9 or less",
        )
    return RejectRecord("corrupt_compression", f"the {name} data are damaged: {error}")
