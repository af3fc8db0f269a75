"""Parts of a run's page: bars, columns and tiles in HTML and CSS. Every text is escaped here."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

_LONGEST_NAME: Final = 120

PAGE_STYLE: Final = """
:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--text:#1b2430;--soft:#5b6777;--line:#e3e7ec;--bar:#2f6fde;
--track:#edf0f4;--bad:#c2353f;--good:#1c7a4b}
@media (prefers-color-scheme:dark){:root{--back:#12161c;--card:#1b2129;--text:#e8ecf1;--soft:#9aa7b6;--line:#2c343f;
--bar:#6ea0f5;--track:#28303a;--bad:#f0787f;--good:#5fc493}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 48px}
h1{font-size:1.5rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1rem;margin:0 0 2px}
p{margin:0}.soft{color:var(--soft);font-size:.87rem;overflow-wrap:anywhere}
.state{display:inline-block;padding:1px 10px;border-radius:999px;border:1px solid;font-size:.87rem;font-weight:600}
.good{color:var(--good)}.bad{color:var(--bad)}
.head{display:flex;flex-wrap:wrap;gap:6px 12px;align-items:center;margin-bottom:4px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;margin:20px 0 12px}
.tile,section{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 14px}.tile b{display:block;font-size:1.45rem;line-height:1.2;font-variant-numeric:tabular-nums}
.error{border:1px solid var(--bad);border-radius:10px;padding:12px 14px;margin-top:16px;white-space:pre-wrap;
overflow-wrap:anywhere;max-height:16em;overflow:auto}
.cards{columns:2 400px;column-gap:16px;margin-top:20px}
section{padding:16px 18px;margin-bottom:16px;break-inside:avoid}
.bars{margin-top:12px}.row{padding:5px 0}
.names{display:flex;justify-content:space-between;gap:14px;align-items:baseline}
.name{min-width:0;overflow:hidden;overflow-wrap:anywhere;display:-webkit-box;-webkit-box-orient:vertical;
-webkit-line-clamp:2}
.number{flex:none;font-variant-numeric:tabular-nums}.number i{font-style:normal;color:var(--soft);font-size:.87rem}
.track{background:var(--track);height:8px;border-radius:4px;margin-top:3px;overflow:hidden}
.fill{background:var(--bar);height:100%;min-width:2px;border-radius:4px}.fill.reject{background:var(--bad)}
.columns{display:flex;gap:4px;margin-top:14px}
.column{flex:1 1 0;min-width:0;text-align:center;white-space:nowrap;font-size:.74rem;
color:var(--soft);font-variant-numeric:tabular-nums}
.space{height:130px;display:flex;flex-direction:column;justify-content:flex-end;border-bottom:1px solid var(--line);
margin-bottom:4px}.space .fill{border-radius:4px 4px 0 0;min-height:2px}
.empty{color:var(--soft);padding:22px 0 8px}
@media print{body{background:#fff}.tile,section{break-inside:avoid}}
"""


@attrs.frozen
class Bar:
    """One line of a bar chart; `note` stands beside the number."""

    name: str
    number: int
    note: str = ""


def tile(name: str, value: str, *, is_bad: bool = False) -> str:
    """A figure with its name."""
    bad = " class='bad'" if is_bad else ""
    return f"<div class='tile'><b{bad}>{html.escape(value)}</b><span class='soft'>{html.escape(name)}</span></div>"


def card(title: str, text: str, body: str) -> str:
    """A chart with its title and a line about it."""
    return f"<section><h2>{html.escape(title)}</h2><p class='soft'>{html.escape(text)}</p>{body}</section>"


def bars(values: Iterable[Bar], *, kind: str = "", empty: str) -> str:
    """Horizontal bars; names of any length and any script."""
    shown = list(values)
    most = max((bar.number for bar in shown), default=0)
    if not most:
        return f"<p class='empty'>{html.escape(empty)}</p>"
    rows = "".join(
        f"<div class='row'><div class='names'>{_name(bar.name)}<span class='number'>{bar.number:,}"
        f"{f' <i>{html.escape(bar.note)}</i>' if bar.note else ''}</span></div>"
        f"<div class='track'><div class='fill {kind}' style='width:{100 * bar.number / most:.1f}%'></div></div></div>"
        for bar in shown
    )
    return f"<div class='bars'>{rows}</div>"


def columns(names: Sequence[str], numbers: Sequence[int], *, empty: str) -> str:
    """Vertical columns; a number stands above each that is not 0."""
    most = max(numbers, default=0)
    if not most:
        return f"<p class='empty'>{html.escape(empty)}</p>"
    cells = "".join(_column(name, number, most) for name, number in zip(names, numbers, strict=True))
    return f"<div class='columns'>{cells}</div>"


def _column(name: str, number: int, most: int) -> str:
    filled = f"{_short(number)}<div class='fill' style='height:{82 * number / most:.1f}%'></div>" if number else ""
    return f"<div class='column' title='{number:,}'><div class='space'>{filled}</div>{html.escape(name)}</div>"


def _name(text: str) -> str:
    """A name that may be hostile: escaped, cut, and kept from changing the direction of what stands beside it."""
    shown = text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"
    wrapped = re.sub(r"([\\/.:])(?=[^\s\\/.:])", r"\1<wbr>", html.escape(shown))  # between the parts of a long name
    return f"<bdi class='name' title='{html.escape(text)}'>{wrapped or '(empty)'}</bdi>"


def _short(number: int) -> str:
    """A number in at most four characters or so: 950, 1.2k, 34k, 1.2M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"[:6]
    return str(number)
