"""Framing of JSON values that stand one after the other, each over any number of lines."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.reading.broken_strings import BLANKS, CLOSER_OF, brackets_after_quote, ends_with_its_line
from holded_pipeline.reading.framed_records import Record, record_too_large
from holded_pipeline.reading.layout import skip_blanks
from holded_pipeline.reading.scanned_text import ScannedText

# Possessive quantifiers (*+): backtracking would keep 35 bytes for each byte of an escape.
_TOKEN = re.compile(rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+("?)|[\[\]{},]')
_REST_OF_STRING = re.compile(rb'[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+("?)')
_OPENER_OF = {closer: opener for opener, closer in CLOSER_OF.items()}
_QUOTE, _ARRAY, _COMMA = b'"[,'


def frame_values(chunks: Iterable[bytes], *, first_line: int = 1) -> Iterator[Record]:
    """Frames a record for each JSON value at the top, or for each element if it is an array."""
    return ValueFramer(first_line).frame(chunks)


# The framer follows brackets and strings through a buffer, and cuts off what it has yielded. Fed with the chunks
# `[{"a":1},{"b":"x` and `]"}]\n{"c":2}`, it does this:
#
#     token     at        depth after   what happens
#     [         0         1             an array at the top: the next record begins behind it
#     {         1         2
#     "a"       2         2             strings are skipped
#     }         7         1
#     ,         8         1             yields {"a":1} as item 1; the next record begins behind the comma
#     {         9         2
#     "b"       10        2
#     "x        14        2             the string is still open, and goes on in the next chunk
#               cut       2             the buffer begins with {"b":"x now, then the next chunk is appended
#     ]"        8         2             the bracket is inside the string
#     }         9         1
#     ]         10        0             yields {"b":"x]"} as item 2; the array has ended
#     {         12        1             a document at the top, on line 2
#     "c"       13        1
#     }         18        0             {"c":2} is a record; without an item, if no other one begins on its line
class ValueFramer:
    """Follows brackets and strings through a buffer that is cut where a record ends.

    Attributes:
        values: how many values began at the top.
        has_rubbish: whether there was text between them.
    """

    def __init__(self, first_line: int = 1) -> None:
        self.values = 0
        self.has_rubbish = False
        self._text = ScannedText(first_line)
        self._open = bytearray()  # the opening brackets of what is open
        self._base = 0  # how many brackets are open around the elements of an array of records; 0 outside one
        self._elements = 0  # of that array, so far
        self._line = first_line  # on which the current value at the top begins
        self._numbered_line = 0  # the line on which `_item` records began so far
        self._item = 0
        self._held: Record | None = None  # a document of which it is not known whether it is alone on its line

    def frame(self, chunks: Iterable[bytes]) -> Iterator[Record]:
        """The records of a text."""
        for chunk in chunks:
            self._text.add(chunk)
            yield from self._scan(ended=False)
        yield from self._scan(ended=True)
        yield from self._end()
        yield from self._release(None)

    def _scan(self, *, ended: bool) -> Iterator[Record]:
        text = self._text
        while text.string_at is None or (yield from self._end_string(ended=ended)):
            for token in _TOKEN.finditer(text.buffer, text.at):
                text.at = token.end()
                sign = text.buffer[token.start()]
                if sign != _QUOTE:
                    yield from self._scan_sign(sign, token.start())
                elif not token[1]:
                    text.string_at = token.start() + 1
                    break
            else:
                text.at = len(text.buffer)
                return

    def _scan_sign(self, sign: int, at: int) -> Iterator[Record]:
        if sign in CLOSER_OF:
            if not self._open:
                yield from self._open_value(sign, at)
            self._open.append(sign)
        elif sign == _COMMA:
            if self._base and len(self._open) == self._base:
                yield from self._end_element(at)
        elif self._open:
            yield from self._scan_closer(sign, at)

    def _open_value(self, sign: int, at: int) -> Iterator[Record]:
        """A value begins at the top."""
        yield from self._take_rubbish(at)
        self.values += 1
        self._line = self._text.line_at(at)
        yield from self._release(self._line)
        self._text.start = at
        if sign == _ARRAY:
            self._open_array(1, at)

    def _open_array(self, base: int, at: int) -> None:
        self._base, self._elements = base, 0
        self._text.start = at + 1

    def _scan_closer(self, sign: int, at: int) -> Iterator[Record]:
        """Closes what the bracket closes, and what is still open inside that.

        A bracket of another kind than what is open in a record closes the innermost of it, but never the array around
        an element which is still open: it makes its record invalid, and no other.
        """
        opened = self._open.rfind(_OPENER_OF[sign])
        if opened < self._base and self._base < len(self._open):
            opened = len(self._open) - 1
        elif opened < 0:
            return
        if opened < self._base:
            yield from self._end_array(at)
        del self._open[opened:]
        if not self._open:
            yield from self._end_value(at)

    def _end_array(self, at: int) -> Iterator[Record]:
        if self._elements or self._text.first_visible() < at:
            yield from self._end_element(at)
        self._base = 0
        self._text.start = at + 1

    def _end_element(self, end: int) -> Iterator[Record]:
        self._elements += 1
        yield self._numbered(self._take(end))
        self._text.start = end + 1

    def _end_value(self, at: int) -> Iterator[Record]:
        """The value at the top ends."""
        if self._text.start > at:  # an array, whose elements were yielded
            return
        yield from self._place(self._take(at + 1))

    def _numbered(self, record: Record) -> Record:
        self._item += 1
        return record._replace(item=self._item)

    def _place(self, record: Record) -> Iterator[Record]:
        """A record at the top: it has an item only if another one begins on its line."""
        self._item += 1
        if self._item == 1:
            self._held = record
        else:
            yield record._replace(item=self._item)

    def _release(self, line: int | None) -> Iterator[Record]:
        """Yields the document that is held, once it is known where the next record begins; None: nowhere."""
        if self._held is not None:
            yield self._held._replace(item=1) if self._held.line == line else self._held
            self._held = None
        if line != self._numbered_line and line is not None:
            self._numbered_line, self._item = line, 0

    def _take(self, end: int) -> Record:
        raw, whole = self._text.take(end)
        return Record(raw, self._line, None, None if whole else record_too_large(None), whole)

    def _take_rubbish(self, end: int) -> Iterator[Record]:
        """Takes text between the values at the top as a record: it is not JSON, but must not be dropped."""
        line = self._text.line_at(min(self._text.first_visible(), end))
        record = self._take(end)._replace(line=line)
        if record.raw:
            self.has_rubbish = True
            yield from self._release(line)
            yield from self._place(record)

    def _end_string(self, *, ended: bool) -> Generator[Record, None, bool]:
        """Goes on in the string that is open; returns whether it has ended."""
        text = self._text
        rest = _REST_OF_STRING.match(text.buffer, text.at)
        text.at = rest.end()  # type: ignore[union-attr]  # it matches the empty text, too
        if rest[1]:  # type: ignore[index]
            text.string_at = None
            return True
        line_end = text.buffer.find(b"\n", text.at, text.at + 2)  # there may be a backslash before it
        if line_end < 0:
            return False
        next_at = skip_blanks(text.buffer, line_end, len(text.buffer))
        following = text.buffer[next_at : next_at + 1]
        if not (following or ended):
            return False
        yield from self._break_string(line_end, following)
        return True

    def _break_string(self, line_end: int, following: bytes) -> Iterator[Record]:
        """Ends a string that lacks its quote with its line: closes what was closed in it, and ends its record."""
        text = self._text
        string_at, text.string_at, text.at = max(text.string_at or 0, text.start), None, line_end
        if not self._open:
            return
        rest = text.buffer[string_at:line_end].rstrip(BLANKS)
        last = string_at + len(rest) - 1
        if self._ends_with_its_line(line_end, following):
            del self._open[self._base :]
        else:
            for sign in brackets_after_quote(rest):
                self._follow_bracket(sign)
        if self._base and len(self._open) == self._base:
            if rest.endswith(b","):
                yield from self._end_element(last)
            elif rest.endswith(b"]") and following in (b"", b"[", b"{"):
                yield from self._scan_closer(rest[-1], last)
        elif not self._open:
            yield from self._end_value(line_end - 1)

    def _ends_with_its_line(self, line_end: int, following: bytes) -> bool:
        text = self._text
        if _ARRAY in self._open[self._base :] or not text.began_on_the_line_that_ends(line_end):
            return False
        record = text.buffer[text.first_visible() : line_end]
        return ends_with_its_line(record, following, in_array=bool(self._base))

    def _follow_bracket(self, sign: int) -> None:
        """Opens what a bracket of a broken string opens, or closes what it closes, but no array around records."""
        if sign in CLOSER_OF:
            self._open.append(sign)
        elif len(self._open) > self._base and self._open[-1] == _OPENER_OF[sign]:
            del self._open[-1]

    def _end(self) -> Iterator[Record]:
        """The last record, once the text has ended."""
        end = len(self._text.buffer)
        if not self._open:
            yield from self._take_rubbish(end)
            return
        record = self._take(end)
        if record.fault is None:
            what = "array" if self._base else "document"
            fault = RejectRecord("invalid_json", f"not JSON: the text ends before the {what} does")
            record = record._replace(fault=fault)
        if self._base:
            yield self._numbered(record)
        else:
            yield from self._place(record)
