"""The stages that records are refused at, and which of them a misspelt name means."""

from __future__ import annotations

import difflib

STAGES = ("read", "validate", "enrich", "write", "collect")
"""Those of this library's own transforms, and of its API's door; rejections that users make may name others."""

_TRANSFORMS = {"readminio": "read", "readrejected": "read", "validateschema": "validate", "writepostgres": "write"}
_ALIKE = 0.75


def misspelt(stage: str) -> str | None:
    """The stage that was meant, if this is none of `STAGES` but looks like one."""
    if stage in STAGES:
        return None
    alike = difflib.get_close_matches(stage.casefold(), STAGES, 1, _ALIKE)
    return _TRANSFORMS.get(stage.casefold(), alike[0] if alike else None)
