"""Formats that are no JSON text, by their first bytes: such an object is rejected once, under the format's name."""

from __future__ import annotations

from typing import Final

from holded_pipeline.model.errors import RejectRecord

HEAD_BYTES: Final = 512
"""How many bytes of a text show its format, at most."""

_TAR_AT = 257
_MAGIC_CONTEXT = 64  # a magic of letters is one only if no text stands around it
_TEXT_CONTROLS = b"\t\n\x0b\x0c\r"
_MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"PK\3\4", "zip"),
    (b"PK\5\6", "zip"),
    (b"PK\7\x08", "zip"),
    (b"PAR1", "Parquet"),
    (b"PARE", "Parquet"),
    (b"Obj\1", "Avro"),
    (b"ORC", "ORC"),
    (b"ARROW1", "Arrow"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\xff\x06\0\0sNaPpY", "Snappy"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    (b"LZIP\1", "lzip"),
    (b"\x5d\0\0", "lzma"),
    (b"\x1f\x9d", "compress (.Z)"),
    (b"\x1f\xa0", "compress (.Z)"),
    (b"SEQ\x06", "Hadoop sequence file"),
    (b"SQLite format 3\0", "SQLite"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"%PDF-", "PDF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Microsoft Office"),
    *((bytes([number]) + b"\xb5\x2f\xfd", "zstd before version 0.8") for number in range(0x22, 0x28)),
)
_UTF_UNITS = ((b"{\0\0\0", "UTF-32"), (b"[\0\0\0", "UTF-32"), (b"\0\0\0{", "UTF-32"), (b"\0\0\0[", "UTF-32"))
_UTF_16_UNITS = (b"{\0", b"[\0", b"\0{", b"\0[")
_WHAT_TO_DO = {
    "UTF-16": "write it as UTF-8",
    "UTF-32": "write it as UTF-8",
    "zip": "unpack it, or compress each file by gzip, bzip2, xz or zstd",
    "tar": "unpack it, or compress each file by gzip, bzip2, xz or zstd",
    "Parquet": "export it as JSON lines",
    "Avro": "export it as JSON lines",
    "ORC": "export it as JSON lines",
}


def require_text(head: bytes) -> None:
    """Checks the first `HEAD_BYTES` of a text.

    Raises:
        RejectRecord: `unsupported_format`: they are those of another format.
    """
    name = _format_of(head)
    if name is not None:
        what_to_do = _WHAT_TO_DO.get(name, "write JSON, plain or compressed by gzip, bzip2, xz or zstd")
        raise RejectRecord("unsupported_format", f"the object is {name}, not JSON text; {what_to_do}")


def _format_of(head: bytes) -> str | None:
    if head[:1] in (b"{", b"[") and b"\0" not in head[:4]:
        return None
    found = next((name for magic, name in (*_MAGICS, *_UTF_UNITS) if head.startswith(magic)), None)
    if found is not None and not _is_plain_text(head[:_MAGIC_CONTEXT]):
        return found
    if head.startswith(_UTF_16_UNITS):
        return "UTF-16"
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "tar"
    is_unknown = len(head) >= _MAGIC_CONTEXT and _is_binary(head) and b"\n{" not in head and b"\n[" not in head
    return "a binary format" if is_unknown else None


def _is_plain_text(head: bytes) -> bool:
    return head.isascii() and not any(byte < ord(" ") and byte not in _TEXT_CONTROLS for byte in head)


def _is_binary(head: bytes) -> bool:
    """Whether it holds control characters that no text has, more than a damaged line would."""
    controls = sum(byte < ord(" ") and byte not in _TEXT_CONTROLS for byte in head)
    return controls * 20 > len(head)
