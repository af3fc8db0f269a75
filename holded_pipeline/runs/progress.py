"""Progress of a run: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import attrs

PLANNED_UNITS: Final = "progress.planned_units"
READ_UNITS: Final = "progress.read_units"
_LINE_SECONDS = 10.0
_BAR_SECONDS = 0.2
_BYTE_UNITS = ("B", "kB", "MB", "GB")
_THOUSAND = 1_000

CountsNow = Callable[[], Mapping[str, int]]
"""The counts of a run so far; empty where they cannot be seen."""


@attrs.frozen
class Figures:
    """What is shown of a run while it runs."""

    seconds: float
    records: int
    bytes: int
    rejected: int
    units: int
    planned_units: int

    @classmethod
    def of(cls, counts: Mapping[str, int], seconds: float) -> Figures:
        """The figures among the counts of a run."""
        planned = counts.get(PLANNED_UNITS, 0)
        return cls(
            seconds,
            counts.get("read.records", 0) + counts.get("replay.records", 0),
            counts.get("read.bytes", 0),
            sum(number for name, number in counts.items() if name.endswith(".rejected")),
            min(counts.get(READ_UNITS, 0), planned),  # a bundle that is repeated counts again
            planned,
        )

    def text(self) -> str:
        """`12,000 records (1,200/s), 4.1 MB, 12 rejected, 3 of 40 units`."""
        rate = self.records / self.seconds if self.seconds else 0.0
        parts = [f"{self.records:,} records ({rate:,.0f}/s)", f"{_size(self.bytes)}", f"{self.rejected:,} rejected"]
        if self.planned_units:
            parts.append(f"{self.units:,} of {self.planned_units:,} units")
        return ", ".join(parts)


@contextmanager
def show_progress(counts: CountsNow, progress: bool | None, *, unseen: str) -> Iterator[None]:  # noqa: FBT001  see hp.run
    """Shows progress while the block runs.

    Args:
        counts: gives the counts so far; called by another thread.
        progress: see `hp.run`.
        unseen: what is shown instead of figures as long as there are none.
    """
    if progress is False or sys.stderr is None:  # a process that was started with it closed
        yield
        return
    stop = threading.Event()
    show = _show_bar if _has_display() else partial(_show_lines, even_short=progress is True)
    thread = threading.Thread(target=show, args=(counts, stop, unseen), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show_lines(counts: CountsNow, stop: threading.Event, unseen: str, *, even_short: bool) -> None:
    """A line to stderr every ten seconds; for a run that is over before none, or one if it was asked for."""
    began = time.monotonic()
    ended = False
    while not ended:
        ended = stop.wait(_LINE_SECONDS)
        figures = Figures.of(counts(), time.monotonic() - began)
        if not ended or even_short:
            text = figures.text() if figures.records or figures.planned_units else unseen
            print(f"{figures.seconds:,.0f} s: {text}", file=sys.stderr, flush=True)  # noqa: T201  it is for a person


def _show_bar(counts: CountsNow, stop: threading.Event, unseen: str) -> None:
    """One line that changes, by `rich`; it stays when the run is over."""
    from rich.console import Console  # noqa: PLC0415  optional
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.description}"), TimeElapsedColumn())
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=1 / _BAR_SECONDS) as bar:
        task = bar.add_task(unseen, total=None)
        ended = False
        while not ended:
            ended = stop.wait(_BAR_SECONDS)
            _update(bar, task, Figures.of(counts(), time.monotonic() - began), unseen)


def _update(bar: Any, task: Any, figures: Figures, unseen: str) -> None:
    if not figures.records and not figures.planned_units:
        bar.update(task, description=unseen)
        return
    bar.update(task, description=figures.text(), completed=figures.units, total=figures.planned_units or None)


def _has_display() -> bool:
    """Whether there is a terminal or a notebook to draw on, and what draws on it is installed."""
    if "ZMQInteractiveShell" in str(type(_ipython())):
        return _is_installed("rich") and _is_installed("ipywidgets")
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}
    return is_terminal and _is_installed("rich")


def _ipython() -> Any:
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _size(number: float) -> str:
    for unit in _BYTE_UNITS[:-1]:
        if number < _THOUSAND:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _THOUSAND
    return f"{number:.1f} {_BYTE_UNITS[-1]}"
