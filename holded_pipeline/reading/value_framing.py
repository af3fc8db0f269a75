"""Framing of JSON values that stand one after the other, each over any number of lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.reading.framed_records import KEEP_BYTES, Record, record_too_large
from holded_pipeline.reading.layout import BOM, strip_leading_blanks

# Possessive quantifiers (*+): backtracking would keep 35 bytes for each byte of an escape.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[\[\]{},]', re.DOTALL)


def frame_values(chunks: Iterable[bytes], *, first_line: int = 1) -> Iterator[Record]:
    """Frames a record for each JSON value at the top, or for each element if it is an array."""
    scanner = _Scanner(first_line)
    for chunk in chunks:
        yield from scanner.feed(chunk)
        if scanner.is_full:
            return
    yield from scanner.end()


# The scanner follows brackets and strings through a buffer, and cuts off what it has yielded. Fed with the chunks
# `[{"a":1},{"b":"x` and `]"}]\n{"c":2}`, it does this:
#
#     token     at        depth after   what happens
#     [         0         1             an array at the top: `_start` is behind it
#     {         1         2
#     "a"       2         2             strings are skipped
#     }         7         1
#     ,         8         1             yields {"a":1} as item 1; `_start` is behind the comma
#     {         9         2
#     "b"       10        2
#     "x        14        2             the string is still open: it is scanned again with the next chunk
#               cut       2             the buffer begins with {"b":"x now, then the next chunk is appended
#     "x]"      5         2             the bracket is inside the string
#     }         9         1
#     ]         10        0             yields {"b":"x]"} as item 2; the array has ended
#     {         12        1             a document at the top, on line 2: `_start` is at it
#     "c"       13        1
#     }         18        0             yields {"c":2}
class _Scanner:
    """Follows brackets and strings through a buffer that is cut where a record ends."""

    def __init__(self, first_line: int) -> None:
        self._text = b""
        self._at = 0  # scanned up to here
        self._start = 0  # the current record begins here
        self._line = first_line  # the number of the line at `_counted`
        self._counted = 0
        self._array_line = first_line
        self._depth = 0
        self._item = 0  # elements yielded of the array at the top; 0 outside one
        self._in_array = False
        self.is_full = False

    def feed(self, chunk: bytes) -> Iterator[Record]:
        self._cut()
        self._text += chunk
        for token in _TOKEN.finditer(self._text, self._at):
            character = token[0][:1]
            if character == b'"':
                if not token[1]:  # the string goes on in the next chunk: scan it again then
                    self._at = token.start()
                    break
                self._at = token.end()
                continue
            yield from self._scan_bracket(character, token.start())
            self._at = token.end()
        else:
            self._at = len(self._text)
        if len(self._text) - self._start > KEEP_BYTES:
            self.is_full = True
            yield self.unfinished(record_too_large(None))._replace(whole=False)

    def _scan_bracket(self, character: bytes, at: int) -> Iterator[Record]:
        if character in b"[{":
            if self._depth == 0:
                yield from self._text_between(at)
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
            raw = strip_leading_blanks(raw)
        if raw:
            self._item += 1
            yield Record(raw, self._array_line, self._item)

    def _text_between(self, end: int) -> Iterator[Record]:
        """Yields text between the values at the top as a record: it is not JSON, but must not be dropped."""
        raw = self._text[self._start : end]
        stripped = strip_leading_blanks(raw).rstrip()
        if stripped:
            yield Record(stripped, self._line_at(self._start + raw.index(stripped)))
        self._start = end

    def _line_at(self, at: int) -> int:
        self._line += self._text.count(b"\n", self._counted, at)
        self._counted = max(self._counted, at)
        return self._line

    def _cut(self) -> None:
        """Removes what was yielded from the buffer."""
        self._line_at(self._start)
        self._text = self._text[self._start :]
        self._at -= self._start
        self._counted -= self._start
        self._start = 0

    def unfinished(self, fault: RejectRecord) -> Record:
        """The current record, if it cannot be read to its end."""
        raw = self._text[self._start :].strip()[:KEEP_BYTES]
        if self._depth:
            return Record(raw, self._array_line, self._item + 1 if self._in_array else None, fault)
        return Record(raw, self._line_at(self._start), None, fault)

    def end(self) -> Iterator[Record]:
        """The last record, once the text has ended."""
        if self._depth:
            what = "array" if self._in_array else "document"
            yield self.unfinished(RejectRecord("invalid_json", f"not JSON: the text ends before the {what} does"))
        else:
            yield from self._text_between(len(self._text))
