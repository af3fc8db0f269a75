"""Tables in HTML, as a notebook shows values. Every text is escaped here, and shortened where it is long."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LONGEST = 2_000
_LEFT = "text-align:left;vertical-align:top"


def html_table(rows: Iterable[Sequence[object]], *, header: Sequence[str] = (), caption: str = "") -> str:
    """A table with a row for each sequence; numbers stand right, everything else left."""
    head = "".join(f"<th style='{_LEFT}'>{html.escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(map(_table_cell, row))}</tr>" for row in rows)
    return (
        "<table>"
        + (f"<caption style='text-align:left'>{html.escape(caption)}</caption>" if caption else "")
        + (f"<thead><tr>{head}</tr></thead>" if header else "")
        + f"<tbody>{body}</tbody></table>"
    )


def html_fields(caption: str, fields: Mapping[str, object]) -> str:
    """A table with a line for each field that has a value."""
    return html_table(((name, value) for name, value in fields.items() if not _is_empty(value)), caption=caption)


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | bytes | Mapping | Sequence) and not value)


def _table_cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<td>{value:,}</td>"
    text = _shown_text(value)
    shown = html.escape(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)")
    if "\n" in text:
        shown = f"<pre style='margin:0;white-space:pre-wrap'>{shown}</pre>"
    return f"<td style='{_LEFT}'>{shown}</td>"


def _shown_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return json.dumps(_plain(value), indent=1, ensure_ascii=False, default=str)
    return str(value)


def _plain(value: Any) -> Any:
    """The value with its mappings as dicts; `json` knows no other."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
