"""What an enricher returned, made plain: JSON in dicts and lists that nobody else holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holded_pipeline.model import json_codec
from holded_pipeline.user_code.errors import EnricherFault, describe_error

MAX_RESULT_BYTES: Final = 1_000_000
"""Bytes that one enricher may add to one event, as JSON."""


def plain_result(returned: Any) -> dict[str, Any]:
    """What an enricher returned as JSON in dicts and lists of its own; looking at it may run a stranger's code.

    Raises:
        EnricherFault: it is no JSON object, or there is too much of it.
    """
    try:
        if isinstance(returned, Mapping):
            found: dict[str, Any] = json_codec.plain_copy(dict(returned), max_bytes=MAX_RESULT_BYTES)
            return found
    except Exception as error:
        raise no_json(error) from error
    raise EnricherFault("enricher_output", f"returned {type(returned).__name__}; it must return a mapping")


def no_json(error: BaseException) -> EnricherFault:
    """The fault of a result that raised this when it was read."""
    return EnricherFault("enricher_output", f"returned no JSON: {describe_error(error)}")
