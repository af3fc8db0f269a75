"""Shows the title of a page where a link names its file, as `[faults.md](faults.md)` does for readers of the file."""

from __future__ import annotations

import posixpath
import re

from docutils import nodes
from sphinx.application import Sphinx

_FILE = re.compile(r"[\w-]+\.md")


def _show_titles(app: Sphinx, doctree: nodes.document, page: str) -> None:
    for link in doctree.findall(nodes.reference):
        text = link.astext()
        if not link.get("internal") or not _FILE.fullmatch(text):
            continue
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link["refuri"].partition("#")[0]))
        title = app.env.titles[target.removesuffix(".html")]
        link.children = []
        link += [child.deepcopy() for child in title.children]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("doctree-resolved", _show_titles)
    return {"parallel_read_safe": True}
