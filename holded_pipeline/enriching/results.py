"""The result of an enricher as plain JSON: dicts and lists that no user code holds a reference to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from holded_pipeline.model import json_codec
from holded_pipeline.user_code.errors import EnricherFault, describe_error

MAX_RESULT_BYTES: Final = 1_000_000
"""Bytes that one enricher may add to one event, as JSON."""


class PlainResult(NamedTuple):
    """The result of an enricher in dicts and lists that nobody else has, and its JSON text."""

    value: dict[str, Any]
    text: bytes


def plain_result(returned: Any) -> PlainResult:
    """A copy of what an enricher returned, in plain dicts and lists. Reading what it returned may run user code.

    Raises:
        EnricherFault: it is not a JSON object, or has more than `MAX_RESULT_BYTES`.
    """
    try:
        if isinstance(returned, PlainResult):
            return returned
        if isinstance(returned, Mapping):
            return PlainResult(*json_codec.plain_copy(dict(returned), max_bytes=MAX_RESULT_BYTES))
    except Exception as error:
        raise not_json(error) from error
    found = "None, as a function without a return does" if returned is None else type(returned).__name__
    raise EnricherFault("enricher_output", f"returned {found}; it must return a mapping")


def not_json(error: BaseException) -> EnricherFault:
    """The fault for a result that raised this error when it was read."""
    return EnricherFault("enricher_output", f"returned no JSON: {describe_error(error)}")
