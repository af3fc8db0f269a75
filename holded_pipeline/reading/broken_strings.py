"""Where a record goes on after a string without its closing quote: a raw line end never stands in a JSON string.

Such a string swallows the brackets between the missing quote and the end of its line. Which of them are brackets and
which are text is not known, so the usual ways to write JSON decide.
"""

from __future__ import annotations

import re

BLANKS = b" \t\r\n"
"""What JSON allows between its tokens."""

CLOSER_OF = {b"{"[0]: b"}"[0], b"["[0]: b"]"[0]}
"""The closing bracket of each opening one."""

_BRACKET = re.compile(rb"[\[\]{}]")
_OPENERS = b"[{"


# Of the rest of a line, from the quote that is not closed, these count as brackets:
#
#     rest of the line        brackets     why
#     "x},                    }            it ends the line, but for commas and other closing ones
#     "x,                     none
#     "see {x,                none         it is not closed on the line, and does not end it
#     "see x} and y,          none         it was not opened on the line, and does not end it
#     ":[1,2]},               }            those that match each other change nothing
#     ":[                     [            an opening bracket ends the line
def brackets_after_quote(rest: bytes) -> bytes:
    """The brackets of the rest of a line that change what is open, in their order."""
    visible = len(rest.rstrip(BLANKS))
    ending = len(rest.rstrip(b"]}," + BLANKS))
    opened: list[int] = []
    counted = bytearray()
    for match in _BRACKET.finditer(rest):
        at = match.start()
        sign = rest[at]
        if sign in _OPENERS:
            opened.append(at)
        elif opened and CLOSER_OF[rest[opened[-1]]] == sign:
            opened.pop()
        elif at >= ending:
            counted.append(sign)
    if opened and opened[-1] == visible - 1:
        counted.append(rest[opened[-1]])
    return bytes(counted)


def ends_with_its_line(record: bytes, following: bytes, *, in_array: bool) -> bool:
    """Whether a record whose string is broken ends with the line on which it stands, whatever brackets are open.

    So it is where each record has a line: the next one begins on the next line as this one does.

    Args:
        record: the text from the record's first byte to the end of the line; the record began on this line.
        following: the first visible byte after the line; empty if there is none.
        in_array: whether it is an element of an array, and not a document at the top.
    """
    opener, text = record[:1], record.rstrip(BLANKS)
    if opener not in (b"{", b"["):
        return False
    closer = CLOSER_OF[opener[0]]
    if not in_array:
        return text[-1] == closer and following in (b"", b"{", b"[")
    if text.endswith(b","):
        return following == opener and text.rstrip(b"," + BLANKS)[-1] == closer
    return following == b"]" and text[-1] == closer
