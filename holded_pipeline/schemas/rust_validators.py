"""The validators of `jsonschema-rs`, which decide whether a document is valid.

Modules that import `jsonschema` are imported only where something is wrong: its formats build a grammar, which takes
longer than to read ten thousand events.
"""

from __future__ import annotations

from typing import Any, Final

import jsonschema_rs

PATTERN_OPTIONS: Final = jsonschema_rs.FancyRegexOptions()  # gives up after a million steps

RUST_VALIDATORS: Final[dict[str, Any]] = {
    "4": jsonschema_rs.Draft4Validator,
    "6": jsonschema_rs.Draft6Validator,
    "7": jsonschema_rs.Draft7Validator,
    "2019-09": jsonschema_rs.Draft201909Validator,
    "2020-12": jsonschema_rs.Draft202012Validator,
}
"""The class for each draft."""
