"""Where one record ends and the next begins, in a stream of text of any size.

Two layouts: `lines` (a record a line; a line that is an array holds several) and `values` (JSON values one after
the other, over as many lines as they like; an array's elements are its records). Framing never parses: a broken
record is framed like a good one, so that it is refused alone. A byte order mark where a line or a value begins is no
part of it: files that have one may have been put together.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.reading.layout import BOM, Layout, from_first_value, sniff_layout

KEEP_BYTES = 64 << 20
"""Bytes of one record that are ever held in memory."""

# Possessive: what could be taken back would be kept for each escape, 35 bytes for one of text.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[\[\]{},]', re.DOTALL)


class Record(NamedTuple):
    """One framed record.

    Attributes:
        raw: its bytes, without the line's end.
        line: 1-based line on which it, or the array it is an element of, begins.
        item: 1-based place in that array.
        fault: set when the record is known to be unusable already; `raw` is then what there is of it.
        whole: whether `raw` is all of it; the rest of one that is too large is not kept.
    """

    raw: bytes
    line: int
    item: int | None = None
    fault: RejectRecord | None = None
    whole: bool = True


def frame(chunks: Iterable[bytes], *, key: str, first_line: int = 1, layout: Layout | None = None) -> Iterator[Record]:
    """The records of an object's decompressed text.

    Args:
        chunks: the text in pieces of any size.
        key: the object's key, without the ending of its compression; .jsonl and .ndjson at its end say `lines`.
        first_line: the number of the line that the text begins with.
        layout: what is known already, for a slice of an object.
    """
    stream = iter(chunks)
    if layout is None:
        layout, seen = sniff_layout(stream, key)
        stream = chain(_taken(seen), stream)
    framed = frame_lines if layout == "lines" else frame_values
    yield from framed(stream, first_line=first_line)


def _taken(chunks: deque[bytes]) -> Iterator[bytes]:
    while chunks:
        yield chunks.popleft()  # not held while it is worked on


def frame_lines(chunks: Iterable[bytes], *, first_line: int = 1) -> Iterator[Record]:
    """A record a line; blank lines are passed over but counted."""
    for number, (raw, size) in enumerate(lines_of(chunks, keep_bytes=KEEP_BYTES), first_line):
        yield from _line_records(raw, size, number)


def lines_of(chunks: Iterable[bytes], *, keep_bytes: float) -> Iterator[tuple[bytes, int]]:
    """Each line without its end, cut at `keep_bytes`, and its full size."""
    pending: list[bytes] = []
    kept = size = 0
    for chunk in chunks:
        for place, part in enumerate(chunk.split(b"\n")):
            if place:
                line = b"".join(pending)
                pending.clear()  # before the line goes out: a large one is not held twice while it is worked on
                yield line, size
                kept = size = 0
            size += len(part)
            if part and kept < keep_bytes:
                pending.append(part if kept + len(part) <= keep_bytes else part[: int(keep_bytes) - kept])
                kept += len(pending[-1])
    if size:
        line = b"".join(pending)
        pending.clear()
        yield line, size


def _line_records(raw: bytes, size: int, number: int) -> Iterator[Record]:
    text = raw.removesuffix(b"\r")
    if text.startswith(BOM):
        text = from_first_value(text)
    start = text.lstrip()[:1]
    if size > len(raw):
        yield Record(text, number, None, _too_large(size), whole=False)
    elif start == b"[":
        yield from (record._replace(line=number) for record in frame_values([text]))
    elif start:
        yield Record(text, number)


def _too_large(size: int | None) -> RejectRecord:
    what = "more" if size is None else f"{size:,} bytes"
    return RejectRecord(
        "record_too_large",
        f"the record has {what}, of which only the first {KEEP_BYTES:,} are kept here; the rest stands at its source",
    )


def frame_values(chunks: Iterable[bytes], *, first_line: int = 1) -> Iterator[Record]:
    """A record for each JSON value, or for each element of an array at the top."""
    scanner = _Scanner(first_line)
    for chunk in chunks:
        yield from scanner.feed(chunk)
        if scanner.gave_up:
            return
    yield from scanner.end()


class _Scanner:
    """Follows brackets and strings through a buffer that is cut where a record ends."""

    def __init__(self, first_line: int) -> None:
        self._text = b""
        self._at = 0  # scanned up to here
        self._start = 0  # the current record begins here
        self._line = first_line  # at `_counted`
        self._counted = 0
        self._array_line = first_line
        self._depth = 0
        self._item = 0  # elements seen of the array at the top; 0 outside one
        self._in_array = False
        self.gave_up = False

    def feed(self, chunk: bytes) -> Iterator[Record]:
        self._cut()
        self._text += chunk
        for token in _TOKEN.finditer(self._text, self._at):
            character = token[0][:1]
            if character == b'"':
                if not token[1]:  # the string goes on in the next chunk: look at it again then
                    self._at = token.start()
                    break
                self._at = token.end()
                continue
            yield from self._bracket(character, token.start())
            self._at = token.end()
        else:
            self._at = len(self._text)
        if len(self._text) - self._start > KEEP_BYTES:
            self.gave_up = True
            yield self.rest(_too_large(None))._replace(whole=False)

    def _bracket(self, character: bytes, at: int) -> Iterator[Record]:
        if character in b"[{":
            if self._depth == 0:
                yield from self._stray(at)
                self._open(character, at)
            self._depth += 1
        elif character in b"]}" and self._depth:
            self._depth -= 1
            if self._depth == 0:
                yield from self._close(at)
        elif character == b"," and self._depth == 1 and self._in_array:
            yield from self._element(at)
            self._start = at + 1

    def _open(self, character: bytes, at: int) -> None:
        self._in_array = character == b"["
        self._item = 0
        self._start = at + 1 if self._in_array else at
        self._array_line = self._line_at(at)

    def _close(self, at: int) -> Iterator[Record]:
        if self._in_array:
            yield from self._element(at)
        else:
            yield Record(self._text[self._start : at + 1], self._array_line)
        self._in_array = False
        self._start = at + 1

    def _element(self, end: int) -> Iterator[Record]:
        raw = self._text[self._start : end].strip()
        if raw.startswith(BOM):
            raw = from_first_value(raw)
        if raw:
            self._item += 1
            yield Record(raw, self._array_line, self._item)

    def _stray(self, end: int) -> Iterator[Record]:
        """Text between the values at the top: not a document, but not to be dropped either."""
        raw = self._text[self._start : end]
        stripped = from_first_value(raw).rstrip()
        if stripped:
            yield Record(stripped, self._line_at(self._start + raw.index(stripped)))
        self._start = end

    def _line_at(self, at: int) -> int:
        self._line += self._text.count(b"\n", self._counted, at)
        self._counted = max(self._counted, at)
        return self._line

    def _cut(self) -> None:
        """Forgets what was yielded."""
        self._line_at(self._start)
        self._text = self._text[self._start :]
        self._at -= self._start
        self._counted -= self._start
        self._start = 0

    def rest(self, fault: RejectRecord) -> Record:
        """What is left, when it cannot be read to its end."""
        raw = self._text[self._start :].strip()[:KEEP_BYTES]
        if self._depth:
            return Record(raw, self._array_line, self._item + 1 if self._in_array else None, fault)
        return Record(raw, self._line_at(self._start), None, fault)

    def end(self) -> Iterator[Record]:
        """The last record, when the text has ended."""
        if self._depth:
            what = "array" if self._in_array else "document"
            yield self.rest(RejectRecord("invalid_json", f"not JSON: the text ends before the {what} does"))
        else:
            yield from self._stray(len(self._text))
