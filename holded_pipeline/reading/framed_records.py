"""What framing gives: records as they stand in an object's text."""

from __future__ import annotations

from typing import NamedTuple

from holded_pipeline.model.errors import RejectRecord

KEEP_BYTES = 64 << 20
"""How many bytes of one record are held in memory, at most."""


class Record(NamedTuple):
    """One framed record.

    Attributes:
        raw: its bytes, without the line end.
        line: 1-based line on which it, or the array it is an element of, begins.
        item: 1-based position in that array.
        fault: why the record has to be rejected, if framing found that already; `raw` is then what there is of it.
        whole: whether `raw` is the whole record; of one that is too large only the beginning is kept.
        outer: the text of the document around it, if it is an element of an array inside one and that is asked for.
    """

    raw: bytes
    line: int
    item: int | None = None
    fault: RejectRecord | None = None
    whole: bool = True
    outer: bytes | None = None


class Lines(NamedTuple):
    """Records that are lines of text, one after the other; each begins with `{` and ends with `}`.

    Attributes:
        raws: the bytes of each, without the line end.
        first_line: the 1-based line of the first.
    """

    raws: list[bytes]
    first_line: int


def record_too_large(size: int | None) -> RejectRecord:
    """Why a record that is larger than what is kept is rejected."""
    what = "more" if size is None else f"{size:,} bytes"
    return RejectRecord(
        "record_too_large",
        f"the record has {what}, of which only the first {KEEP_BYTES:,} are kept here; the rest is at its source",
    )
