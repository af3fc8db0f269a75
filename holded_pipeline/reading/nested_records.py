"""Framing of records in an array inside a document, e.g. `{"Records": [...]}`, without holding the document.

Each element of the array at the path is a record. What stands around it in the document is held, in pieces, and comes
as `Outer` once the document ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Violation
from holded_pipeline.reading.broken_strings import BLANKS, CLOSER_OF
from holded_pipeline.reading.framed_records import KEEP_BYTES, Record
from holded_pipeline.reading.records_path import RecordsPath
from holded_pipeline.reading.value_framing import ValueFramer

_ARRAY, _OBJECT = b"[{"


class Outer(Record):
    """Not a record: the text of a document of which the records were framed, with an empty array in their place."""

    __slots__ = ()


class NestedFramer(ValueFramer):
    """Follows the names of members to the array at a path, in each document.

    An array at the top holds documents, as without a path. A document without the array is one record with a fault; so
    is what stands around the records, if it is not JSON.
    """

    def __init__(self, path: RecordsPath, first_line: int = 1) -> None:
        super().__init__(first_line)
        self._path = path
        self._followed = 0  # how many names of the path lead to what is open
        self._around: list[bytes] = []  # the text around the records of the document, so far; empty before them
        self._is_whole = True  # whether all of that is held
        self._pages = 0  # 1 in an array of documents

    def feed(self, chunk: bytes) -> Iterator[Record]:
        """The records that end in the next chunk of the text."""
        self._text.add(chunk)
        yield from self._scan(ended=False)

    def finish(self) -> Iterator[Record]:
        """The last records, once the text has ended."""
        yield from self._scan(ended=True)
        yield from self._end()
        if self._around:
            yield Outer(b"".join(self._around), self._line)
        yield from self._release(None)

    def _scan_sign(self, sign: int, at: int) -> Iterator[Record]:
        if sign in CLOSER_OF and self._open and self._base == self._pages and self._follow(sign, at):
            self._open.append(sign)
            self._open_records(at)
        else:
            yield from super()._scan_sign(sign, at)

    def _follow(self, sign: int, at: int) -> bool:
        """Follows the path into what is opened; returns whether it is the array of the records."""
        names = self._path.names
        depth = len(self._open) - self._pages
        self._followed = max(min(self._followed, depth - 1), 0)
        if depth < 1 or self._followed < depth - 1 or depth > len(names) or self._open[-1] != _OBJECT:
            return False
        is_last = depth == len(names)
        if sign != (_ARRAY if is_last else _OBJECT) or self._name_before(at) != names[depth - 1]:
            return False
        self._followed = depth
        return is_last

    def _name_before(self, at: int) -> str | None:
        """The name of the member whose value begins here."""
        text = self._text.buffer
        end = _visible_end(text, self._text.start, at)
        if text[end - 1 : end] != b":":
            return None
        end = _visible_end(text, self._text.start, end - 1)
        start = text.rfind(b'"', self._text.start, end - 1)
        while start > 0 and _is_escaped(text, start):
            start = text.rfind(b'"', self._text.start, start)
        try:
            name = json_codec.decode(text[start:end]) if start >= 0 else None
        except RejectRecord:
            return None
        return name if isinstance(name, str) else None

    def _open_records(self, at: int) -> None:
        self._hold(self._take(at))
        self._around.append(b"[]")
        self._open_array(len(self._open), at)

    def _hold(self, part: Record) -> None:
        self._around.append(part.raw)
        self._is_whole = self._is_whole and part.whole and sum(map(len, self._around)) <= KEEP_BYTES

    def _open_array(self, base: int, at: int) -> None:
        if not self._open:
            self._pages = 1
        super()._open_array(base, at)

    def _end_array(self, at: int) -> Iterator[Record]:
        in_records = self._base > self._pages
        yield from super()._end_array(at)
        if in_records:
            self._base = self._pages
        else:
            self._pages = 0

    def _end_element(self, end: int) -> Iterator[Record]:
        if self._base > self._pages:
            yield from super()._end_element(end)
            return
        self._elements += 1
        yield from self._place(self._take(end))
        self._text.start = end + 1

    def _end_value(self, at: int) -> Iterator[Record]:
        if self._around or self._text.start <= at:
            yield from self._place(self._take(max(at + 1, self._text.start)))

    def _place(self, record: Record) -> Iterator[Record]:
        """Ends a document, or other text at the top: it is a record with a fault, unless its records were framed."""
        if self._around:
            self._hold(record)
            record = record._replace(raw=b"".join(self._around), whole=self._is_whole)
            self._around, self._is_whole = [], True
            yield Outer(record.raw, record.line)
            if record.fault is None and json_codec.is_json(record.raw):
                return
        record = record._replace(fault=record.fault or self._fault_of(record.raw))
        if self._pages:
            yield self._numbered(record)
        else:
            yield from super()._place(record)

    def _fault_of(self, raw: bytes) -> RejectRecord:
        if not raw:
            return RejectRecord("invalid_json", "not JSON: an element of the array is empty; remove its comma")
        try:
            json_codec.decode(raw)
        except RejectRecord as fault:
            return fault
        message = f"the document has no array at {self._path.pointer}, where its records are expected"
        return RejectRecord("missing_field", message, [Violation(self._path.pointer, "required", message)])


def frame_each_line(chunks: Iterable[bytes], path: RecordsPath, first_line: int) -> Iterator[Record]:
    """Frames each line by itself, so that a broken one cannot hide those after it; a line is not held."""
    number = first_line
    framer = NestedFramer(path, number)
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        yield from framer.feed(first)
        for line in others:
            yield from framer.finish()
            number += 1
            framer = NestedFramer(path, number)
            yield from framer.feed(line)
    yield from framer.finish()


def frame_documents(chunks: Iterable[bytes], path: RecordsPath, first_line: int) -> Iterator[Record]:
    """Frames documents over any number of lines."""
    framer = NestedFramer(path, first_line)
    for chunk in chunks:
        yield from framer.feed(chunk)
    yield from framer.finish()


def _visible_end(text: bytes, start: int, end: int) -> int:
    while end > start and text[end - 1] in BLANKS:
        end -= 1
    return end


def _is_escaped(text: bytes, at: int) -> bool:
    """Whether an odd number of backslashes stands before it."""
    start = at
    while start > 0 and text[start - 1] == b"\\"[0]:
        start -= 1
    return (at - start) % 2 == 1
