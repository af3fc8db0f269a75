"""The stages at which records are rejected, and the stage that a misspelt name probably means."""

from __future__ import annotations

import difflib

STAGES = ("read", "validate", "enrich", "write", "collect", "drop")
"""Those of this library's transforms, and `collect` of its API; users' own rejections may have others."""

_TRANSFORMS = {"readminio": "read", "readrejected": "read", "validateschema": "validate", "writepostgres": "write"}
_MIN_SIMILARITY = 0.75


def suggest_stage(stage: str) -> str | None:
    """The stage that was probably meant, for a name that resembles one of `STAGES`; None for any other name."""
    if stage in STAGES:
        return None
    name = stage.casefold()
    if name in STAGES:
        return name
    # A name that contains a whole stage, such as `revalidate`, was chosen on purpose.
    similar = (
        [] if any(known in name for known in STAGES) else difflib.get_close_matches(name, STAGES, 1, _MIN_SIMILARITY)
    )
    return _TRANSFORMS.get(name, similar[0] if similar else None)
