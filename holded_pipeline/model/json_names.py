"""Names that occur twice in one object of a JSON text, of which readers keep the first, the last or both."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from holded_pipeline.model.errors import RejectRecord

_SHOWN = 100  # characters of a name in a message


def reject_duplicate_names(text: bytes) -> None:
    """Looks at each object of a text that is JSON; slow, so only called where a name may occur twice.

    Raises:
        RejectRecord: `duplicate_name`; an object has a name twice.
    """
    json.loads(text, object_pairs_hook=_look_at_names)


def _look_at_names(members: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            _reject(name)
        seen.add(name)


def _reject(name: str) -> NoReturn:
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    raise RejectRecord("duplicate_name", f"the name {shown!r} occurs twice in one object; keep one of them")
