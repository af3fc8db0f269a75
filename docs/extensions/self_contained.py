"""Fails the build if a page would load a script, a style, a font or a picture from another host."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^"'> ]+"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=["']?(?:https?:)?//[^"'> ]+"""
    r"""|(?:@import\s+(?:url\()?|\burl\()["']?(?:https?:)?//[^"')]+"""
)


def _refuse_remote(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None:
        return
    for file in sorted(Path(app.outdir).rglob("*")):
        if file.suffix in {".html", ".css", ".svg"} and (found := _LOADED.search(file.read_text(encoding="utf-8"))):
            raise SphinxError(f"{file.relative_to(app.outdir)} loads something from another host: {found[0]}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("build-finished", _refuse_remote)
    return {"parallel_read_safe": True}
