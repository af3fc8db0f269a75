"""What commands print: data to stdout, as text or as JSON; words to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs
import click

from holded_pipeline.cli.safe_text import safe_json, safe_text


@attrs.frozen
class Output:
    """Prints for people, or for machines: then stdout has JSON and nothing else.

    Attributes:
        as_json: whether it is for machines.
    """

    as_json: bool = False

    def say(self, text: str) -> None:
        """Words for people; they go to stderr."""
        click.echo(safe_text(text), err=True)

    def document(self, value: Any, text: str) -> None:
        """One result: a JSON document, or the text."""
        click.echo(json_text(value) if self.as_json else safe_text(text))

    def line(self, value: Any, text: str) -> None:
        """One of many results: a line of JSON, or the text."""
        click.echo(json_text(value, indent=None) if self.as_json else safe_text(text))
        sys.stdout.flush()

    def table(self, values: Sequence[dict[str, Any]], columns: Sequence[str], *, nothing: str) -> None:
        """Several results: a JSON array of all they have, or a table of some columns."""
        if self.as_json:
            click.echo(json_text(values))
        elif not values:
            self.say(nothing)
        else:
            _print_table(columns, [[_cell(value.get(column)) for column in columns] for value in values])


def json_text(value: Any, indent: int | None = 2) -> str:
    """The JSON text of a value; a time is ISO 8601."""
    return safe_json(json.dumps(value, indent=indent, ensure_ascii=False, default=_as_json))


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return list(value) if isinstance(value, Iterable) else str(value)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else safe_text(" ".join(str(value).split()))


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """By rich, where it is installed and a terminal shows it; else with spaces between columns."""
    if sys.stdout.isatty():
        try:
            from rich.console import Console  # noqa: PLC0415  optional
            from rich.table import Table  # noqa: PLC0415
            from rich.text import Text  # noqa: PLC0415
        except ModuleNotFoundError:
            pass
        else:
            table = Table(*columns, box=None, pad_edge=False)
            for row in rows:
                table.add_row(*map(Text, row))  # as it is: markup in a record is text
            Console().print(table)
            return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
