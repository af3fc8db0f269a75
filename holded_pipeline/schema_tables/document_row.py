"""The row function of a table that was made from a schema."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import attrs

from holded_pipeline.model.carried_text import data_of
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.iso_8601 import parse_iso_date, parse_iso_timestamp
from holded_pipeline.model.readable_times import find_unreadable
from holded_pipeline.model.values import Event

Path = tuple[str, ...]

_USUAL_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float, Decimal),
}
_MAX_SHOWN = 60  # characters of a text that a reason repeats
_MAX_DIGITS = 100  # of an integer that is written out; no integer column holds as many


@attrs.frozen
class DocumentColumn:
    """A column, and the member that fills it.

    Attributes:
        name: the column's name.
        path: the names of the members that lead to the value.
        kind: what the value must be, null apart: `text`, `timestamp`, `date`, `boolean`, `integer`, `number`, or `json`
            for anything.
    """

    name: str
    path: Path
    kind: str


@attrs.frozen
class DocumentRow:
    """The row function: an `Event`, or the document itself, to the table's columns.

    Attributes:
        columns: the columns that it fills.
        rest: the column for members without a column of their own; None for none.

    Raises:
        RejectRecord: (called) the document has another type than the schema says (`row_error`).

    **Guarantees:** a value is never changed to fit its column: one of another type is rejected, and so is a text
    that is no date or time, such as `now` or `infinity`. Picklable.
    """

    columns: tuple[DocumentColumn, ...]
    rest: str | None = None

    def __call__(self, element: Any) -> dict[str, Any]:
        """The columns of the element's row. Members that are missing are None."""
        document = data_of(element) if isinstance(element, Event) else element
        is_object = isinstance(document, Mapping)
        row: dict[str, Any] = {}
        for column, name, member, usual in self._plan:
            value = document.get(member) if member and is_object else _value_at(document, column.path)
            row[name] = value if value is None or type(value) in usual else _checked(value, column)
        if self.rest is not None:
            row[self.rest] = _without(document, {column.path for column in self.columns}) or None
        return row

    @functools.cached_property
    def _plan(self) -> list[tuple[DocumentColumn, str, str | None, tuple[type, ...]]]:
        """Each column, its name, its member where that is not inside another, and the usual types of its values."""
        return [
            (each, each.name, each.path[0] if len(each.path) == 1 else None, _USUAL_TYPES.get(each.kind, ()))
            for each in self.columns
        ]


def _value_at(document: Any, path: Path) -> Any:
    value = document
    for position, name in enumerate(path):
        if not isinstance(value, Mapping):
            if value is None and position:
                return None
            place = ".".join(path[:position]) or "the document"
            raise RejectRecord("row_error", f"{place} is {_json_type(value)}, and its schema says object")
        value = value.get(name)
    return value


def _checked(value: Any, column: DocumentColumn) -> Any:
    kind = column.kind
    if value is None or kind == "json":
        return value
    if isinstance(value, bool):
        fits = kind == "boolean"
    elif isinstance(value, str):
        fits = kind == "text" or (kind in _READ_TIMES and _is_time(value, column))
    elif kind == "integer":
        fits, value = _integer(value)
    else:
        fits = kind == "number" and isinstance(value, int | float | Decimal)
    if not fits:
        raise RejectRecord(
            "row_error", f"{'.'.join(column.path)} is {_json_type(value)}, and the column {column.name!r} is {kind}"
        )
    return value


# PostgreSQL takes more for a time than ISO 8601: `now` becomes the time of the load, and a row with `infinity`, a year
# before Christ or one after 9999 makes each result that has it an error in Python.
def _is_time(text: str, column: DocumentColumn) -> bool:
    try:
        problem = _READ_TIMES[column.kind](text)
    except (ValueError, OverflowError):
        problem = f"{text[:_MAX_SHOWN]!r} is no {column.kind} of ISO 8601 from the years 1 to 9999"
    if problem is not None:
        raise RejectRecord("row_error", f"{'.'.join(column.path)}: {problem}")
    return True


def _find_timestamp_problem(text: str) -> str | None:
    return find_unreadable(parse_iso_timestamp(text))


def _find_date_problem(text: str) -> str | None:
    parse_iso_date(text)
    return None


_READ_TIMES: dict[str, Callable[[str], str | None]] = {
    "timestamp": _find_timestamp_problem,
    "date": _find_date_problem,
}


def _integer(value: Any) -> tuple[bool, Any]:
    """Whether a value is an integer, and the integer: in JSON Schema 1.0 and 1e3 are integers, too."""
    if isinstance(value, float):
        return value.is_integer(), int(value) if value.is_integer() else value
    if isinstance(value, Decimal):
        fits = value == value.to_integral_value()
        return fits, int(value) if fits and value.adjusted() < _MAX_DIGITS else value
    return isinstance(value, int), value


def _without(document: Any, paths: set[Path], place: Path = ()) -> dict[str, Any]:
    """The members of a document that no path leads to.

    {"a": {"b": 1, "c": 2}, "d": 3} without the path ("a", "b") is {"a": {"c": 2}, "d": 3}.
    """
    rest: dict[str, Any] = {}
    for name, value in document.items():
        path = (*place, name)
        if path in paths:
            continue
        if not any(each[: len(path)] == path for each in paths):
            rest[name] = value
        elif value is not None and (kept := _without(value, paths, path)):
            rest[name] = kept
    return rest


def _json_type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "a boolean"
    if isinstance(value, int | float | Decimal):
        return "a number"
    kinds = ((str, "a string"), (list | tuple, "an array"), (Mapping, "an object"))
    return next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)
