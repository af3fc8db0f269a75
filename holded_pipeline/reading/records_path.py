"""Where records are inside documents: `/Records/*`, and what the envelope learns of the document around them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.reading.framed_records import Record

_WRONG_ESCAPE = re.compile(r"~(?![01])")


class RecordsPath(NamedTuple):
    """The path to the array whose elements are records.

    Attributes:
        pointer: the JSON Pointer to the array, e.g. `/Records`.
        names: the names of the members that lead to it.
    """

    pointer: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, records: str) -> Self:
        """The path of `/Records/*` or `/a/b/*`.

        Raises:
            ValueError: it is not such a pointer.
        """
        pointer = records.removesuffix("/*") if isinstance(records, str) else ""
        names = pointer.split("/")[1:]
        if not names or not pointer.startswith("/") or pointer == records or "*" in names:
            raise ValueError(
                "records must be a JSON Pointer to an array inside each document, with a * for its elements, such as "
                f'"/Records/*" or "/response/items/*", got {records!r}; the elements of an array at the top are '
                "records without it"
            )
        if _WRONG_ESCAPE.search(pointer):
            raise ValueError(f'records={records!r} has a "~" that is not part of "~0" (a "~") or "~1" (a "/")')
        return cls(pointer, tuple(name.replace("~1", "/").replace("~0", "~") for name in names))


class OuterReader:
    """Gives the members around a record: those of its document, without the array of the records.

    Args:
        path: where the array is; None if records are not inside documents.
        max_bytes: a larger text around the records rejects them.
        max_depth: a more deeply nested one, too.
    """

    def __init__(self, path: RecordsPath | None, max_bytes: int, max_depth: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_depth = max_depth

    def __call__(self, record: Record) -> dict[str, Any]:
        """The members, a copy for each record.

        Raises:
            RejectRecord: the text around the records is not JSON, or too large or too deep; or the record was not read
                from its document, as in a replay: without the members, the envelope would make another event of it.
        """
        if record.outer is None or self._path is None:
            raise RejectRecord(
                "missing_field",
                "the envelope asks for what stands around the record (outer), and the record was not read from its "
                "document; read its object again with records=, a dead letter has the record alone",
            )
        if len(record.outer) > self._max_bytes:
            raise RejectRecord("record_too_large", f"the text around the record has over {self._max_bytes:,} bytes")
        try:
            document: dict[str, Any] = json_codec.decode(record.outer, max_depth=self._max_depth)
        except RejectRecord as fault:
            raise RejectRecord(fault.reason, f"in the document around the record: {fault.message}") from fault
        inner = document
        for name in self._path.names[:-1]:
            inner = inner[name]
        del inner[self._path.names[-1]]
        return document


def takes_outer(envelope: Callable[..., Any]) -> bool:
    """Whether an envelope has a parameter `outer`."""
    try:
        parameter = inspect.signature(envelope).parameters.get("outer")
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
