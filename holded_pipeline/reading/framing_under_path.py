"""Frames the records of an object that are inside documents, each with what stands around it if that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.layout import SNIFF_BYTES, Layout, sniff_layout
from holded_pipeline.reading.nested_records import Outer, frame_documents, frame_each_line
from holded_pipeline.reading.records_path import RecordsPath

_SNIFFED = SNIFF_BYTES[:2]  # a longer first line is not held: documents of any size are framed rightly


def frame_under_path(
    open_text: Callable[[], Iterator[bytes]],
    path: RecordsPath,
    *,
    key: str,
    layout: Layout | None = None,
    with_outer: bool = False,
) -> Iterator[Record]:
    """Frames the decompressed text of an object.

    Args:
        open_text: returns the text in chunks of any size. It is called twice for `with_outer`: members after the array
            are known only once the text behind its records was read, and those must not be held.
        path: where the records are in each document.
        key: the object's key, without the ending of its compression.
        layout: the layout if it is known.
        with_outer: whether each record comes with the text around it.
    """
    framed = _frame(open_text(), path, key, layout)
    if not with_outer:
        yield from (record for record in framed if not isinstance(record, Outer))
        return
    outers = (outer for outer in _frame(open_text(), path, key, layout) if isinstance(outer, Outer))
    outer: Outer | None = None
    for record in framed:
        if isinstance(record, Outer):
            if outer is None:  # the document has no records
                next(outers)
            outer = None
        elif record.fault is None:
            outer = outer or next(outers)
            yield record._replace(outer=outer.raw)
        else:
            yield record


def _frame(chunks: Iterator[bytes], path: RecordsPath, key: str, layout: Layout | None) -> Iterator[Record]:
    if layout is None:
        layout, head = sniff_layout(chunks, key, sizes=_SNIFFED, undecided="values")
        chunks = chain(head, chunks)
    framed = frame_each_line if layout == "lines" else frame_documents
    return framed(chunks, path, 1)
