"""Links the public classes and errors that a docstring names in backticks; everything else in backticks is code."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole

import holded_pipeline as hp

_CLASSES = frozenset(name for name in hp.__all__ if name[0].isupper() and not name.isupper())
_NAME = re.compile(r"(?:hp\.)?(\w+)")


def _name_role(_name: str, rawtext: str, text: str, lineno: int, inliner: Any, **options: Any) -> Any:
    found = _NAME.fullmatch(text)
    if found and found[1] in _CLASSES:
        return PyXRefRole()("py:obj", rawtext, f"{text} <holded_pipeline.{found[1]}>", lineno, inliner, **options)
    return [nodes.literal(rawtext, text, classes=["code"])], []


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_role("name", _name_role)
    return {"parallel_read_safe": True}
