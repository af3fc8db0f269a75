"""COPY of formatted lines into a staging table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_LINES_AT_ONCE = 500  # a whole batch would be copied twice in memory; a call for each line costs more than its bytes


def copy_lines(cursor: Any, table: str, columns: Sequence[str], lines: Sequence[bytes]) -> None:
    """Copies lines of COPY's text format into a staging table. `table` and `columns` are quoted.

    Its column `hp$position` numbers the lines from 0.
    """
    # The lines b"1\ta\n" and b"2\tb\n" are sent as b"0\t1\ta\n" and b"1\t2\tb\n".
    parts = [b""] * (2 * len(lines))
    parts[::2] = _numbers(len(lines))
    parts[1::2] = lines
    with cursor.copy(f"COPY {table} (hp$position, {', '.join(columns)}) FROM STDIN") as copy:
        for start in range(0, len(parts), 2 * _LINES_AT_ONCE):
            copy.write(b"".join(parts[start : start + 2 * _LINES_AT_ONCE]))


@lru_cache(maxsize=4)
def _numbers(count: int) -> list[bytes]:
    """The first fields of so many lines; most batches have one size."""
    return [b"%d\t" % number for number in range(count)]
