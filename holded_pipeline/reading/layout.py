"""Sniffs from an object's first bytes whether it holds one record a line, or values over several lines.

`lines`: the first value ends on the line on which it begins. `values`: it goes on over several lines. A broken first
line does neither; then the lines after it decide. Inside one value a line never follows directly on a line that is a
whole value, so the third line at the latest decides.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from holded_pipeline.model.json_codec import is_json

Layout = Literal["lines", "values"]

BOM = b"\xef\xbb\xbf"
SNIFF_BYTES = (1 << 16, 4 << 20, 64 << 20)
"""Sizes of the head that is sniffed, in bytes; a larger one only if the smaller does not decide."""

_LINE_NAMES = (".jsonl", ".ndjson", ".jsonlines")
_DECISIVE_LINES = 3
_BLANK = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf)*+")
# A JSON string holds no line end, not even an escaped one; a string that does is broken.
_TOKEN = re.compile(rb'\n|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+("?)|[\[\]{},:]|[^\s\[\]{},:"]++')
_LINE_END, _STRING, _COMMA, _COLON, _WORD = b'\n",:w'
_PUNCTUATION = b'\n"[]{},:'
_OPENERS, _CLOSERS = b"{[", b"}]"
_VALUE = b'{["w'
_NAME = b'"'
_AFTER_OPENER = {b"{"[0]: _NAME + b"}", b"["[0]: _VALUE + b"]"}
_AFTER_VALUE = {b"{"[0]: b",}", b"["[0]: b",]"}
_AFTER_COMMA = {b"{"[0]: _NAME, b"["[0]: _VALUE}


def sniff_layout(
    chunks: Iterator[bytes], key: str, *, sizes: Sequence[int] = SNIFF_BYTES, undecided: Layout | None = None
) -> tuple[Layout, deque[bytes]]:
    """Returns the layout of the text in `chunks`, and the chunks that were read to find it.

    Args:
        chunks: the text.
        key: the object's key.
        sizes: the sizes of the heads that are sniffed.
        undecided: the layout if none of them decides; None takes the largest for all of the text.
    """
    read: deque[bytes] = deque()
    if _is_named_lines(key):
        return "lines", read
    size = 0
    for head_size in sizes:
        while size < head_size and (chunk := next(chunks, None)) is not None:
            read.append(chunk)
            size += len(chunk)
        # Cut, so that the layout does not depend on how the text is chunked.
        layout = _sniff_head(b"".join(read)[:head_size], ended=size < head_size)
        if layout is not None:
            return layout, read
    return undecided or layout_of(b"".join(read), key), read


def layout_of(text: bytes, key: str) -> Layout:
    """The layout of an object with this key and this text, which is all of it or its largest head."""
    return "lines" if _is_named_lines(key) else _sniff_head(text, ended=True) or "lines"


def _is_named_lines(key: str) -> bool:
    return key.lower().endswith(_LINE_NAMES)


def strip_leading_blanks(text: bytes) -> bytes:
    """Removes blanks and byte order marks from the start of the text."""
    return text[skip_blanks(text, 0, len(text)) :]


def skip_blanks(text: bytes, start: int, end: int) -> int:
    """The first position from `start` on that holds neither a blank of JSON nor a byte order mark; `end` if none."""
    return _BLANK.match(text, start, end).end()  # type: ignore[union-attr]  # it matches the empty text, too


# What a head shows, where it does not end here (`ended=False`):
#
#     head                                   layout     why
#     {"a": 1}\n{"b                          lines      the first line is a whole document
#     [{"a": 1}, {"a": 2}]\n{                lines      the first line is a whole array
#     [{"a": 1}, {"a": 2}, {"a               values     an array on one line, of any size
#     {\n  "a": 1,\n  "b": 2,                values     the first value goes on over three lines
#     {\n"a": 1}                             values     the first value ends on another line than it began
#     {"a": 1}{"b": 2}{"c                    values     documents after each other, and no line end yet
#     {"a": oops\n{"b": 2}\n                 lines      a broken line; the next one is a document
#     {"a": oops\n  "b": 2}\n                values     a broken document; its next line is not a document
#     {"a": "xxxxx                           None       the first value is still open
def _sniff_head(text: bytes, *, ended: bool) -> Layout | None:
    """The layout, or None if more of the text is needed; never None if the text has `ended`."""
    text = strip_leading_blanks(text)
    if not text.startswith((b"{", b"[")):
        return None if BOM.startswith(text) and not ended else "lines"
    end = text.find(b"\n")
    if end < 0 and text.startswith(b"["):
        return "values"  # it may have any size, and must not be held in memory to find its end
    if (end >= 0 or ended) and is_json(text if end < 0 else text[:end]):
        return "lines"
    return _sniff_by_grammar(text, end, ended=ended)


def _sniff_by_grammar(text: bytes, first_end: int, *, ended: bool) -> Layout | None:
    """The layout where the first line, which ends at `first_end` (-1: not in this text), is not JSON by itself."""
    value = _scan_first_value(text)
    if value.state == "spread":
        return "values"
    if value.state == "open" and not ended:
        return None
    if value.state != "closed":
        return _sniff_other_lines(text, first_end, alone="lines", ended=ended)
    first = text if first_end < 0 else text[:first_end]
    if not first[value.end :].lstrip().startswith(b"{"):
        return "lines"
    # {"a": 1}{"b": 2}: documents without anything between them, unless it is one broken line of many.
    return _sniff_other_lines(text, first_end, alone="values", ended=ended or first_end < 0)


def _sniff_other_lines(text: bytes, first_end: int, *, alone: Layout, ended: bool) -> Layout | None:
    """The layout where the first line is broken, by the lines after it; `alone` if there are none.

    One of them that is JSON by itself makes it `lines`. An indented one does not: it may be part of a broken document.
    """
    others = text[first_end + 1 :].split(b"\n") if first_end >= 0 else []
    if not ended and others:
        others.pop()
    others = [line for line in others if line.strip()]
    if others and _begins_array_of_lines(text[:first_end].strip(), others):
        return "values"
    if any(line.startswith((b"{", b"[")) and is_json(line) for line in others):
        return "lines"
    if others:
        return "values"
    return alone if ended else None


def _begins_array_of_lines(first: bytes, others: list[bytes]) -> bool:
    """Whether these lines begin an array with an element on each line, of which one of the first is broken."""
    if first == b"[":
        return any(line.rstrip().endswith(b",") for line in others[:_DECISIVE_LINES])
    return first.startswith(b"[") and first.endswith(b",") and others[0].rstrip().endswith((b",", b"]"))


class _FirstValue(NamedTuple):
    """How far the first value goes, and where the scan ended.

    `closed`: it ends on its first line. `spread`: it goes on over several. `broken`: it is not JSON. `open`: the text
    ends before the value does.
    """

    state: Literal["closed", "spread", "broken", "open"]
    end: int


# The scan follows JSON's grammar token by token: `expected` holds the first bytes of the tokens that may come next,
# with `w` for any word (a number, true, oops), and `inside` the brackets that are open. Of `{"a": [1, oops` it sees:
#
#     token     expected before     inside after
#     {         {["w                {
#     "a"       "}                  {
#     :         :                   {
#     [         {["w                {[
#     1         {["w]               {[
#     ,         ,]                  {[
#     oops      {["w                {[            and the text ends: open
def _scan_first_value(text: bytes) -> _FirstValue:
    """Scans the first value by JSON's grammar; whether strings and words are valid in themselves is not checked."""
    inside = bytearray()
    expected = _VALUE
    lines, is_new_line = 0, True
    for token in _TOKEN.finditer(text):
        sign = text[token.start()]
        if sign == _LINE_END:
            is_new_line = True
            continue
        lines += is_new_line  # blank ones do not count
        is_new_line = False
        if sign not in _PUNCTUATION:
            sign = _WORD
        if sign not in expected or (sign == _STRING and not token[1] and text[token.end() :] not in (b"", b"\\")):
            return _FirstValue("broken", token.start())
        expected = _expect_after(sign, expected, inside)
        if lines == _DECISIVE_LINES or not inside:
            return _FirstValue("closed" if lines == 1 else "spread", token.end())
    return _FirstValue("open", len(text))


def _expect_after(sign: int, expected: bytes, inside: bytearray) -> bytes:
    """What may follow a token that was expected; opens and closes brackets in `inside`."""
    if sign in _OPENERS:
        inside.append(sign)
        return _AFTER_OPENER[sign]
    if sign in _CLOSERS:
        inside.pop()
        return _AFTER_VALUE[inside[-1]] if inside else b""
    if sign == _COMMA:
        return _AFTER_COMMA[inside[-1]]
    if sign == _COLON:
        return _VALUE
    is_name = sign == _STRING and _WORD not in expected
    return b":" if is_name else _AFTER_VALUE[inside[-1]]
