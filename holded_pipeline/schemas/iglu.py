"""The names of schemas in Snowplow's Iglu registries: `com.acme/order/jsonschema/1-0-0`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

IGLU_PATH: Final = re.compile(
    r"(?:.*/)?(?P<subject>(?P<name>[^/]+/[^/]+)/jsonschema/(?P<model>\d+)-(?P<revision>\d+)-(?P<addition>\d+))"
)
"""The path of a schema: its vendor and name, the format, and its version; below any folder, such as `schemas/`."""


def latest_versions(subjects: Iterable[str]) -> dict[str, str]:
    """The subject of the latest version for each vendor and name.

    For `com.acme/order/jsonschema/1-0-2` and `com.acme/order/jsonschema/1-0-10` it is the second, as `com.acme/order`.
    """
    latest: dict[str, tuple[tuple[int, ...], str]] = {}
    for subject in subjects:
        found = IGLU_PATH.fullmatch(subject)
        if found is not None:
            version = tuple(int(found[part]) for part in ("model", "revision", "addition"))
            latest[found["name"]] = max(latest.get(found["name"], ((), "")), (version, subject))
    return {name: subject for name, (_, subject) in latest.items()}
