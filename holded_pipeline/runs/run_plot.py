"""The figure that RunReport.plot returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.install_lines import install_line

_MOST_BARS = 15
_LONGEST_LABEL = 48


def plot_run(title: str, accounts: Mapping[str, int], rejected: Mapping[str, int]) -> Any:
    """A `matplotlib.figure.Figure` with what became of the records, and the rejections by reason."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an optional package
    except ImportError as error:
        raise ConfigurationError(f"plot needs matplotlib; run: {install_line('plot')}") from error
    largest = dict(sorted(rejected.items(), key=lambda each: (-each[1], each[0]))[:_MOST_BARS])
    # A Figure without pyplot: no window, no global state, any backend.
    figure = Figure(figsize=(11, 1.6 + 0.34 * max(len(accounts), len(largest), 4)), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_bars(left, "Records", accounts, "#2f6fde")
    _draw_bars(right, "Rejections by stage and reason", largest, "#c2353f")
    figure.suptitle(_label_text(title))
    return figure


def _draw_bars(axes: Any, title: str, numbers: Mapping[str, int], color: str) -> None:
    axes.set_title(title, loc="left")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    if not numbers:
        axes.set_yticks([])
        axes.text(0, 0.5, "none", transform=axes.transAxes)
        return
    drawn = axes.barh(range(len(numbers)), list(numbers.values()), color=color)
    axes.set_yticks(range(len(numbers)), [_label_text(name) for name in numbers])
    axes.invert_yaxis()
    axes.bar_label(drawn, [f"{number:,}" for number in numbers.values()], padding=3)
    axes.margins(x=0.18)


def _label_text(text: str) -> str:
    """A text as it is, cut: matplotlib would take a pair of $ for a formula."""
    shown = text if len(text) <= _LONGEST_LABEL else f"{text[:_LONGEST_LABEL]}…"
    return shown.replace("$", r"\$")
