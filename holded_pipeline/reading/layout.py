"""Whether an object holds a record a line or values over several lines, told by how it begins.

`lines`: the first value ends on the line on which it begins. `values`: it goes on over several lines. A broken first
line does neither, and what follows it tells: a value never begins right after another, so of two whole lines after
it the second cannot go on with what it began. Hence the third line at the latest tells one from the other.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

from holded_pipeline.model.json_codec import is_json

Layout = Literal["lines", "values"]

BOM = b"\xef\xbb\xbf"
SNIFF_BYTES = (1 << 16, 4 << 20, 64 << 20)
"""Bytes of the beginning that are looked at; the larger ones only where the smaller do not show enough."""

_LINE_NAMES = (".jsonl", ".ndjson", ".jsonlines")
_ENOUGH_LINES = 3
_BLANK = re.compile(rb"(?:\s|\xef\xbb\xbf)*+")
# A string does not go over the end of a line, even escaped: that is no JSON, and the line is broken.
_TOKEN = re.compile(rb'\n|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+("?)|[\[\]{},:]|[^\s\[\]{},:"]++')
_LINE_END, _STRING, _COMMA, _COLON, _WORD = b'\n",:w'
_PUNCTUATION = b'\n"[]{},:'
_OPENERS, _CLOSERS = b"{[", b"}]"
_VALUE = b'{["w'
_NAME = b'"'
_AFTER_OPENER = {b"{"[0]: _NAME + b"}", b"["[0]: _VALUE + b"]"}
_AFTER_VALUE = {b"{"[0]: b",}", b"["[0]: b",]"}
_AFTER_COMMA = {b"{"[0]: _NAME, b"["[0]: _VALUE}


def sniff_layout(chunks: Iterator[bytes], key: str) -> tuple[Layout, deque[bytes]]:
    """The layout of the text in `chunks`, and those of them that were taken to tell it."""
    taken: deque[bytes] = deque()
    if _is_named_lines(key):
        return "lines", taken
    size = 0
    for look in SNIFF_BYTES:
        while size < look and (chunk := next(chunks, None)) is not None:
            taken.append(chunk)
            size += len(chunk)
        # Cut, so that it does not depend on the chunks what is told.
        layout = _layout(b"".join(taken)[:look], ended=size < look)
        if layout is not None:
            return layout, taken
    return layout_of(b"".join(taken), key), taken


def layout_of(text: bytes, key: str) -> Layout:
    """How an object with this text, or with no more than this to be looked at, and this key is laid out."""
    return "lines" if _is_named_lines(key) else _layout(text, ended=True) or "lines"


def _is_named_lines(key: str) -> bool:
    return key.lower().endswith(_LINE_NAMES)


def from_first_value(text: bytes) -> bytes:
    """The text without the blanks and the byte order marks that it begins with."""
    return text[_BLANK.match(text).end() :]  # type: ignore[union-attr]  # it matches the empty text, too


def _layout(text: bytes, *, ended: bool) -> Layout | None:
    """None where more of the text has to be seen; never if it has `ended`."""
    text = from_first_value(text)
    if not text.startswith((b"{", b"[")):
        return None if BOM.startswith(text) and not ended else "lines"
    end = text.find(b"\n")
    if end < 0 and text.startswith(b"["):
        return "values"  # of any size: not to be held in memory to find its end
    if (end >= 0 or ended) and is_json(text if end < 0 else text[:end]):
        return "lines"
    return _by_grammar(text, end, ended=ended)


def _by_grammar(text: bytes, first_end: int, *, ended: bool) -> Layout | None:
    """Where the first line, which ends at `first_end` (-1: not in this text), is no value by itself."""
    value = _first_value(text)
    if value.state == "spread":
        return "values"
    if value.state == "open" and not ended:
        return None
    if value.state != "closed":
        return _by_other_lines(text, first_end, alone="lines", ended=ended)
    first = text if first_end < 0 else text[:first_end]
    if not first[value.end :].lstrip().startswith(b"{"):
        return "lines"
    # Documents one after the other without anything between them, unless they stand so in a file of lines.
    return _by_other_lines(text, first_end, alone="values", ended=ended or first_end < 0)


def _by_other_lines(text: bytes, first_end: int, *, alone: Layout, ended: bool) -> Layout | None:
    """What the others tell where the first line is neither a value nor the beginning of one; `alone`: without others.

    One that is an object by itself is enough. An indented one is not: it may be a part of a broken document.
    """
    others = text[first_end + 1 :].split(b"\n") if first_end >= 0 else []
    if not ended and others:
        others.pop()
    others = [line for line in others if line.strip()]
    if others and text[:first_end].strip() == b"[" and others[0].rstrip().endswith(b","):
        return "values"  # an array with an element on each line, of which the first is broken
    if any(line.startswith((b"{", b"[")) and is_json(line) for line in others):
        return "lines"
    if others:
        return "values"
    return alone if ended else None


class _FirstValue(NamedTuple):
    """What is seen of the first value, and where the look at it ended.

    It is `closed` on its first line, `spread` over several, `broken`, or still `open` where the text ends.
    """

    state: Literal["closed", "spread", "broken", "open"]
    end: int


def _first_value(text: bytes) -> _FirstValue:
    """Follows JSON's grammar, but for what stands in strings and words: whether `oops` is a word is not asked here."""
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
        expected = _expected_after(sign, expected, inside)
        if lines == _ENOUGH_LINES or not inside:
            return _FirstValue("closed" if lines == 1 else "spread", token.end())
    return _FirstValue("open", len(text))


def _expected_after(sign: int, expected: bytes, inside: bytearray) -> bytes:
    """What may come after a token that was expected; `inside` holds the brackets that are open."""
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
