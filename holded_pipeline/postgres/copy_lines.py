"""COPY of formatted lines into a staging table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def copy_lines(cursor: Any, table: str, columns: Sequence[str], lines: Sequence[bytes]) -> None:
    """Copies lines of COPY's text format into a staging table. `table` and `columns` are quoted.

    Its column `holded_position` numbers the lines from 0.
    """
    # The lines b"1\ta\n" and b"2\tb\n" are sent as b"0\t1\ta\n" and b"1\t2\tb\n".
    with cursor.copy(f"COPY {table} (holded_position, {', '.join(columns)}) FROM STDIN") as copy:
        copy.write(b"".join(b"%d\t%b" % numbered for numbered in enumerate(lines)))
