"""COPY of lines that are formatted already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def copy_lines(cursor: Any, table: str, columns: Sequence[str], lines: Sequence[bytes]) -> None:
    """Copies lines of COPY's text format into a staging table, numbered from 0 in `holded_place`; names are quoted."""
    with cursor.copy(f"COPY {table} (holded_place, {', '.join(columns)}) FROM STDIN") as copy:
        copy.write(b"".join(b"%d\t%b" % numbered for numbered in enumerate(lines)))
