"""Framing of records that stand in an array within a document, as in `{"Records": [{...}, {...}]}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.reading.broken_strings import BLANKS
from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.value_framing import ValueFramer

RecordsPath = tuple[str, ...]
"""The names that lead to the array: `("detail", "items")` for `/detail/items/*`."""

_HELD_BYTES = 16 << 20  # records of one document that wait for the members behind them
_NAME_BYTES = 4 << 10  # of a name and the blanks around its colon; to look further back would take quadratic time
_OBJECT, _ARRAY = b"{["
_NAME_AT_END = re.compile(rb'"(?:[^"\\]|\\.)*+"\Z', re.DOTALL)
_ESCAPED = 12  # bytes that a character may take when it is escaped
_CLOSERS = bytes.maketrans(b"{[", b"}]")


def parse_records_path(records: str) -> RecordsPath:
    """The names in a JSON Pointer (RFC 6901) whose last part is `*`.

    Raises:
        ValueError: it is none.
    """
    parts = records.split("/") if isinstance(records, str) else []
    if len(parts) < 3 or parts[0] or parts[-1] != "*" or "*" in parts[1:-1]:  # noqa: PLR2004  "", a name and "*"
        raise ValueError(f'records is the path of an array, such as "/Records/*" or "/detail/items/*", got {records!r}')
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts[1:-1])


def frame_nested_records(chunks: Iterable[bytes], path: RecordsPath, *, first_line: int = 1) -> Iterator[Record]:
    """Frames a record for each element of the array at a path, in each document of a text.

    The document around the records is in `Record.outer`, with an empty array in their place: all of it, if the records
    of the document have up to 16 MiB; else its members before the array. A document without the array is a record with
    the fault `missing_field`; one that is not JSON around its records is a record, too.
    """
    return _NestedFramer(path, first_line).frame(chunks)


# For the path ("Records",) and the text {"owner": "o", "Records": [{"a": 1}, {"a": 2}], "next": null}
#
#     token        what happens
#     {            a document begins
#     [            `"Records":` stands before it, and the document is open: the head is {"owner": "o", "Records":
#     ,            {"a": 1} is held as item 1
#     ]            {"a": 2} is held as item 2
#     }            the tail is , "next": null} - so the two get the outer {"owner": "o", "Records":[], "next": null}
class _NestedFramer(ValueFramer):
    def __init__(self, path: RecordsPath, first_line: int) -> None:
        super().__init__(first_line)
        self._path = path
        self._matched = 0  # how many names of the path lead to what is open
        self._outer: bytes | None = None  # the document around the records, so far; None if there was no array yet
        self._waiting: list[Record] = []
        self._waiting_bytes = 0

    def _open_value(self, sign: int, at: int) -> Iterator[Record]:
        yield from super()._open_value(sign, at)
        if sign == _ARRAY:  # at the top: its elements are not taken apart
            self._base = 0
            self._text.start = at
        self._matched, self._outer = 0, None

    def _scan_sign(self, sign: int, at: int) -> Iterator[Record]:
        is_on_path = not self._base and len(self._open) == self._matched + 1 and self._open[0] == _OBJECT
        if is_on_path and sign in (_OBJECT, _ARRAY) and self._has_name_before(at, self._path[self._matched]):
            if sign == _ARRAY and self._matched + 1 == len(self._path):
                head, _ = self._text.take(at)
                self._outer = (self._outer or b"") + head + b"[]"
                self._open_array(len(self._open) + 1, at)
            elif sign == _OBJECT and self._matched + 1 < len(self._path):
                self._matched += 1
        yield from super()._scan_sign(sign, at)
        self._matched = min(self._matched, max(len(self._open) - 1, 0))

    def _has_name_before(self, at: int, name: str) -> bool:
        """Whether the value at a position is the member of this name."""
        before = self._text.buffer[max(self._text.start, at - _NAME_BYTES) : at].rstrip(BLANKS)
        if not before.endswith(b":"):
            return False
        before = before[:-1].rstrip(BLANKS)
        plain = json_codec.encode(name)
        if before.endswith(plain):
            return not before.removesuffix(plain).endswith(b"\\")  # else it is the end of a longer name
        found = _NAME_AT_END.search(before) if b"\\" in before[-_ESCAPED * len(plain) :] else None
        return found is not None and not before[: found.start()].endswith(b"\\") and _unescaped(found[0]) == name

    def _numbered(self, record: Record) -> Record:
        return super()._numbered(record)._replace(outer=self._closed_outer())

    def _end_element(self, end: int) -> Iterator[Record]:
        for record in super()._end_element(end):
            self._waiting.append(record)
            self._waiting_bytes += len(record.raw)
        if self._waiting_bytes > _HELD_BYTES:
            yield from self._let_go()

    def _let_go(self, outer: bytes | None = None) -> Iterator[Record]:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for record in waiting:
            yield record if outer is None else record._replace(outer=outer)

    def _closed_outer(self) -> bytes | None:
        """The document as far as it is known, closed."""
        if self._outer is None:
            return None
        return self._outer + bytes(reversed(self._open[: self._base - 1 if self._base else None])).translate(_CLOSERS)

    def _end_value(self, at: int) -> Iterator[Record]:
        record = self._take(at + 1)
        if self._outer is None:
            path = "/" + "/".join(self._path)
            fault = RejectRecord("missing_field", f"the document has no array at {path}, where its records should be")
            yield from self._place(record if record.fault else record._replace(fault=fault))
            return
        outer = self._outer + record.raw
        yield from self._let_go(outer)
        if not json_codec.is_json(outer):
            fault = RejectRecord("invalid_json", "not JSON: the document around the records; the records were read")
            yield super()._numbered(Record(outer, self._line, None, fault))
        self._outer = None

    def _end(self) -> Iterator[Record]:
        yield from self._let_go()
        yield from super()._end()


def _unescaped(name: bytes) -> Any:
    try:
        return json_codec.decode_own(name)
    except ValueError:
        return None
