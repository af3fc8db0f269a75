"""Tables in HTML, as a notebook shows values. Every text is escaped here, and shortened where it is long.

Values may be anything that code made: endless, nested in themselves, or with a `__str__` that raises. None of that
raises here, and what is shown is bounded.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

_LONGEST: Final = 2_000  # characters of a value
_MOST_ROWS: Final = 200  # of a table
_MOST_ITEMS: Final = 100  # of a value in a value
_DEEPEST: Final = 12
_LARGEST: Final = 10**30
_LONGEST_WORD: Final = 60  # characters; a longer one is broken where the cell ends
_LEFT = "text-align:left;vertical-align:top"
_CAPTION = "text-align:left;white-space:nowrap"
_PRE = "margin:0;white-space:pre-wrap;overflow-wrap:anywhere;background:none"


def html_table(rows: Iterable[Sequence[object]], *, header: Sequence[str] = (), caption: str = "") -> str:
    """A table with a row for each sequence; numbers stand right, everything else left. A wide one scrolls by itself."""
    head = "".join(f"<th style='{_LEFT}'>{html.escape(name)}</th>" for name in header)
    shown = list(islice(rows, _MOST_ROWS + 1))
    body = "".join(f"<tr>{''.join(map(_table_cell, row))}</tr>" for row in shown[:_MOST_ROWS])
    if len(shown) > _MOST_ROWS:
        body += f"<tr><td style='{_LEFT}'>… and more</td></tr>"
    return (
        "<div style='overflow-x:auto'><table>"
        + (f"<caption style='{_CAPTION}'>{html.escape(_cut_text(caption))}</caption>" if caption else "")
        + (f"<thead><tr>{head}</tr></thead>" if header else "")
        + f"<tbody>{body}</tbody></table></div>"
    )


def html_fields(caption: str, fields: Mapping[str, object]) -> str:
    """A table with a line for each field that has a value."""
    rows = ((name, _field(value)) for name, value in fields.items() if not _is_empty(value))
    return html_table(rows, caption=caption)


def _field(value: object) -> object:
    """A number as text, which stands left as the texts below and above it."""
    return str(_plain_leaf(value)) if isinstance(value, int | float) else value


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | bytes | dict | list | tuple) and not value)


def _table_cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > _LARGEST:
        return f"<td>{value:,}</td>"
    text = _cut_text(_shown_text(value))
    shown = html.escape(text)
    if "\n" in text:
        shown = f"<pre style='{_PRE}'>{shown}</pre>"
    breaks = ";overflow-wrap:anywhere" if any(len(word) > _LONGEST_WORD for word in text.split()) else ""
    return f"<td style='{_LEFT}{breaks}'>{shown}</td>"


def _cut_text(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _shown_text(value: object) -> str:
    if isinstance(value, bytes):
        cut = value[: _LONGEST + 1].decode("utf-8", "backslashreplace")
        return cut if len(value) <= _LONGEST else f"{cut[:_LONGEST]}… ({len(value):,} bytes)"
    if isinstance(value, Mapping):
        return json.dumps(_plain(value), indent=1, ensure_ascii=False)
    return value if isinstance(value, str) else str(_plain_leaf(value))


def _plain(value: Any, depth: int = 0) -> Any:
    """The value in dicts and lists, as far as it is shown; `json` knows no other mappings."""
    try:
        if isinstance(value, Mapping):
            return _bounded(value, depth)
        if isinstance(value, list | tuple):
            if depth >= _DEEPEST:
                return "…"
            items = [_plain(each, depth + 1) for each in value[:_MOST_ITEMS]]
            return items if len(value) <= _MOST_ITEMS else [*items, f"… {len(value):,} in all"]
    except Exception as error:  # noqa: BLE001  a mapping of a user's may raise anything
        return f"cannot be shown: {type(error).__name__}"
    return _plain_leaf(value)


def _bounded(value: Mapping[Any, Any], depth: int) -> Any:
    if depth >= _DEEPEST:
        return "…"
    shown = {
        _cut_text(str(_plain_leaf(name))): _plain(each, depth + 1) for name, each in islice(value.items(), _MOST_ITEMS)
    }
    return shown if len(value) <= _MOST_ITEMS else shown | {"…": f"{len(value):,} in all"}


def _plain_leaf(value: Any) -> Any:
    if isinstance(value, str):
        return _cut_text(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):  # more digits than Python converts are an error of `str`
        return value if abs(value) <= _LARGEST else f"an integer of {value.bit_length():,} bits"
    try:
        return _cut_text(str(value))
    except Exception as error:  # noqa: BLE001  a `__str__` of a user's may raise anything
        return f"a {type(value).__name__} that cannot be shown: {type(error).__name__}"
