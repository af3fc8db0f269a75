"""Draws the rooms of the package and which imports which: `python docs/extensions/rooms_picture.py` writes the file.

Boxes and lines have colours that can be seen on a white and on a black page. A test compares the arrows with those that
`tests/test_architecture.py` allows, and the file with what this makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOMS: Final = {
    "cli": (560, 0, "the command"),
    "testing": (430, 1, "samples, contracts"),
    "transforms": (430, 2, "Beam: one file each"),
    "stored": (240, 2, "what is stored"),
    "api": (130, 3, "POST /collect"),
    "runs": (680, 3, "ledger, reports"),
    "plugins": (430, 3, "hooks, registry"),
    "rejected": (130, 4, "dead letters"),
    "enriching": (330, 4, "enrichers, quality"),
    "local": (610, 4, "servers to try"),
    "migrations": (785, 4, "business tables"),
    "schema_tables": (945, 4, "tables of schemas"),
    "reading": (130, 5, "bytes to events"),
    "store": (365, 5, "the S3 store"),
    "postgres": (620, 5, "COPY, merge"),
    "schemas": (900, 5, "compile, check"),
    "user_code": (330, 6, "calling your code"),
    "servers": (650, 6, "secrets, retries"),
    "model": (490, 7, "Event, Rejected, JSON"),
    "compiled": (490, 8, "the same, in C"),
}
"""Each room: where its middle is, its row from the top, and what is in it."""
ARROWS: Final = {
    "cli": ("transforms", "stored", "api", "local", "testing"),
    "testing": ("transforms",),
    "transforms": ("plugins", "runs", "schemas"),
    "stored": ("plugins", "rejected"),
    "api": ("store", "reading", "schemas", "rejected"),
    "runs": ("postgres", "rejected"),
    "plugins": ("enriching", "reading"),
    "rejected": ("store", "reading"),
    "enriching": ("store", "postgres"),
    "local": ("store", "postgres"),
    "migrations": ("postgres",),
    "schema_tables": ("schemas", "postgres"),
    "reading": ("user_code",),
    "store": ("servers",),
    "postgres": ("servers", "user_code"),
    "schemas": ("servers", "user_code"),
    "user_code": ("model",),
    "servers": ("model",),
    "model": ("compiled",),
    "compiled": (),
}
"""Which rooms each room imports."""
FILE: Final = Path(__file__).parent.parent / "explanation" / "rooms.svg"
_WIDTH, _HEIGHT, _ROW = 150, 46, 92
_SIZE = (1024, 8 * _ROW + _HEIGHT + 8)
_STYLE = """
    text { font-family: system-ui, sans-serif; text-anchor: middle; fill: #ffffff }
    .name { font-size: 15px; font-weight: 600 }
    .about { font-size: 11.5px }
    .room { fill: #2d6187 }
    .beam { fill: #a4501f }
    .arrow { fill: none; stroke: #8a939b; stroke-width: 1.4 }
    .head { fill: #8a939b }
"""


def picture() -> str:
    """The picture as SVG."""
    arrows = [_arrow(upper, lower) for upper, lowers in ARROWS.items() for lower in lowers]
    boxes = [_box(name, *place) for name, place in ROOMS.items()]
    width, height = _SIZE
    parts = "\n".join([*arrows, *boxes])
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
  <title>The rooms of holded_pipeline. An arrow means: imports. The room model is at the bottom.</title>
  <style>{_STYLE}  </style>
  <marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
    <path class="head" d="M0 0 8 4 0 8z"/>
  </marker>
{parts}
</svg>
"""


def _box(name: str, middle: int, row: int, about: str) -> str:
    kind = "beam" if name in {"transforms", "testing", "cli"} else "room"
    left, top = middle - _WIDTH // 2, row * _ROW + 4
    return (
        f'  <rect class="{kind}" x="{left}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>\n'
        f'  <text class="name" x="{middle}" y="{top + 19}">{name}</text>\n'
        f'  <text class="about" x="{middle}" y="{top + 36}">{about}</text>'
    )


def _arrow(upper: str, lower: str) -> str:
    """A curve from the lower edge of a box to the upper edge of another; arrows of one box are spread over its edge."""
    (from_middle, from_row, _), (to_middle, to_row, _) = ROOMS[upper], ROOMS[lower]
    lowers = sorted(ARROWS[upper], key=lambda name: ROOMS[name][0])
    uppers = sorted((each for each in ARROWS if lower in ARROWS[each]), key=lambda name: ROOMS[name][0])
    start = from_middle + _spread(lowers.index(lower), len(lowers))
    end = to_middle + _spread(uppers.index(upper), len(uppers))
    top, bottom = from_row * _ROW + _HEIGHT + 4, to_row * _ROW + 3
    bend = (bottom - top) * 0.55
    curve = f"M{start} {top}C{start} {top + bend:.0f} {end} {bottom - bend:.0f} {end} {bottom}"
    return f'  <path class="arrow" marker-end="url(#head)" d="{curve}"/>'


def _spread(position: int, count: int) -> int:
    return 0 if count == 1 else round((position / (count - 1) - 0.5) * min(110, 34 * (count - 1)))


if __name__ == "__main__":
    FILE.write_text(picture(), encoding="utf-8")
