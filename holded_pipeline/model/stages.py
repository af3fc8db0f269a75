"""The stages that records are refused at, and which of them a misspelt name means."""

from __future__ import annotations

import difflib

STAGES = ("read", "validate", "enrich", "write", "collect")
"""Those of this library's own transforms, and of its API's door; rejections that users make may name others."""

_TRANSFORMS = {"readminio": "read", "readrejected": "read", "validateschema": "validate", "writepostgres": "write"}
_ALIKE = 0.75


def suggest_stage(stage: str) -> str | None:
    """The stage that was meant, if this is none of `STAGES` but looks like one."""
    if stage in STAGES:
        return None
    name = stage.casefold()
    if name in STAGES:
        return name
    # What holds one of the names whole, such as `revalidate`, is a name with a thought behind it.
    alike = [] if any(known in name for known in STAGES) else difflib.get_close_matches(name, STAGES, 1, _ALIKE)
    return _TRANSFORMS.get(name, alike[0] if alike else None)
