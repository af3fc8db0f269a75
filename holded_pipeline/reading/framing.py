"""Framing: finds where one record ends and the next begins, in a stream of text of any size.

Two layouts: `lines` (a record a line; a line that is an array holds several) and `values` (JSON values one after
the other, each over any number of lines; the elements of an array are its records). Framing does not parse: a broken
record is framed like a valid one, so that it is rejected alone. A byte order mark before a line or a value is removed:
a file may be several files, concatenated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, count, groupby

from holded_pipeline.model.json_codec import is_json
from holded_pipeline.reading.broken_strings import BLANKS
from holded_pipeline.reading.framed_records import KEEP_BYTES, Lines, Record, record_too_large
from holded_pipeline.reading.layout import BOM, Layout, sniff_layout, strip_leading_blanks
from holded_pipeline.reading.value_framing import ValueFramer, frame_values


def frame(chunks: Iterable[bytes], *, key: str, first_line: int = 1, layout: Layout | None = None) -> Iterator[Record]:
    """Frames the decompressed text of an object, a record at a time; see `frame_blocks`."""
    return _each_record(frame_blocks(chunks, key=key, first_line=first_line, layout=layout))


def frame_blocks(
    chunks: Iterable[bytes], *, key: str, first_line: int = 1, layout: Layout | None = None
) -> Iterator[Record | Lines]:
    """Frames the decompressed text of an object. Most lines come many at a time, without a step of Python for each.

    Args:
        chunks: the text in chunks of any size.
        key: the object's key, without the ending of its compression; .jsonl and .ndjson at its end say `lines`.
        first_line: the number of the line that the text begins with.
        layout: the layout if it is known, as for a slice of an object; otherwise it is sniffed.
    """
    stream = iter(chunks)
    if layout is None:
        layout, head = sniff_layout(stream, key)
        stream = chain(_drain(head), stream)
    framed = _frame_line_blocks if layout == "lines" else frame_values
    yield from framed(stream, first_line=first_line)


def _drain(chunks: deque[bytes]) -> Iterator[bytes]:
    while chunks:
        yield chunks.popleft()  # not held while it is framed


def frame_lines(chunks: Iterable[bytes], *, first_line: int = 1) -> Iterator[Record]:
    """Frames a record a line; blank lines are skipped but counted."""
    return _each_record(_frame_line_blocks(chunks, first_line=first_line))


def _each_record(blocks: Iterable[Record | Lines]) -> Iterator[Record]:
    for block in blocks:
        lines = [block] if isinstance(block, Record) else map(Record, block.raws, count(block.first_line))
        for record in lines:
            yield from [record] if is_json(record.raw) else divide_line(record)


def divide_line(record: Record) -> list[Record]:
    """The values of a line that holds several, one after the other; the record itself if it does not.

    A line is divided only if each of its bytes belongs to one of its values. So a broken line stays one record: it
    must not become records that nobody sent.
    """
    if record.item is not None or record.fault is not None:
        return [record]
    framer = ValueFramer(record.line)
    records = list(framer.frame([record.raw]))
    return [record] if framer.values < 2 or framer.has_rubbish else records  # noqa: PLR2004


def _frame_line_blocks(chunks: Iterable[bytes], *, first_line: int = 1) -> Iterator[Record | Lines]:
    number = first_line
    for first, size, others in _lines_by_chunk(chunks, keep_bytes=KEEP_BYTES):
        yield from _line_records(first, size, number)
        number += 1
        for is_plain, group in groupby(others, _is_plain_line):
            lines = list(group)
            if is_plain:
                yield Lines(lines, number)
            else:
                for at, line in enumerate(lines, number):
                    yield from _line_records(_cut_line(line, KEEP_BYTES), len(line), at)
            number += len(lines)


def _is_plain_line(line: bytes) -> bool:
    """Whether there is nothing to strip, to cut or to open."""
    return line[:1] == b"{" and line[-1:] == b"}" and len(line) <= KEEP_BYTES


def lines_of(chunks: Iterable[bytes], *, keep_bytes: float) -> Iterator[tuple[bytes, int]]:
    """Yields each line without its end, cut at `keep_bytes`, and its full size."""
    for first, size, others in _lines_by_chunk(chunks, keep_bytes=keep_bytes):
        yield first, size
        for line in others:
            yield _cut_line(line, keep_bytes), len(line)


def _lines_by_chunk(chunks: Iterable[bytes], *, keep_bytes: float) -> Iterator[tuple[bytes, int, list[bytes]]]:
    """Yields, for each chunk in which a line ends, the first such line and the others.

    The first may have begun in an earlier chunk: it is cut at `keep_bytes`, and its full size stands beside it.
    """
    pending: list[bytes] = []
    kept = size = 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        rest = others.pop() if others else None  # what follows the last end of a line
        for part, ends_line in ((first, rest is not None), (rest or b"", False)):
            size += len(part)
            if part and kept < keep_bytes:
                pending.append(_cut_line(part, keep_bytes - kept))
                kept += len(pending[-1])
            if ends_line:
                line = b"".join(pending)
                pending.clear()  # before the yield, so that a large line is not held twice
                yield line, size, others
                kept = size = 0
    if size:
        line = b"".join(pending)
        pending.clear()
        yield line, size, []


def _cut_line(line: bytes, size: float) -> bytes:
    return line if len(line) <= size else line[: int(size)]


def _line_records(raw: bytes, size: int, number: int) -> Iterator[Record]:
    text = raw.removesuffix(b"\r")
    if text.startswith(BOM):
        text = strip_leading_blanks(text)
    start = text.lstrip(BLANKS)[:1]
    if size > len(raw):
        yield Record(text, number, None, record_too_large(size), whole=False)
    elif start == b"[":
        yield from frame_values([text], first_line=number)
    elif start:
        yield Record(text, number)
