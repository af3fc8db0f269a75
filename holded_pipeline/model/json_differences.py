"""Where two JSON values differ, in words: the first pointers, with both values shortened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

import attrs

from holded_pipeline.model.canonical_json import encode_canonical
from holded_pipeline.model.json_pointer import json_pointer

MAX_DIFFERENCES = 3
MAX_VALUE_CHARACTERS = 60
_ABSENT = object()


@attrs.frozen
class Difference:
    """A place at which two JSON values differ, and what each has there, in words.

    Attributes:
        pointer: JSON Pointer to it.
        one: what the first value has there: `12.5`, `an object`, `nothing`.
        other: what the second value has there.
    """

    pointer: str
    one: str
    other: str


def differences(one: Any, other: Any) -> list[Difference]:
    """The first places, `MAX_DIFFERENCES` of them, at which two JSON values differ; none if they are equal.

    They are compared as `encode_canonical` writes them: `1` equals `1.0`, but neither `true` nor `"1"`. Objects and
    arrays are named, not shown, and other values are shortened to `MAX_VALUE_CHARACTERS`.
    """
    return list(islice(_walk(one, other, ()), MAX_DIFFERENCES))


def _walk(one: Any, other: Any, path: tuple[str | int, ...]) -> Iterator[Difference]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            yield from _walk(one.get(name, _ABSENT), other.get(name, _ABSENT), (*path, name))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            yield from _walk(_element(one, index), _element(other, index), (*path, index))
    elif one is _ABSENT or other is _ABSENT or encode_canonical(one) != encode_canonical(other):
        yield Difference(json_pointer(path), _shown(one), _shown(other))


def _element(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else _ABSENT


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        text = str(value if isinstance(value, float) else Decimal(value))
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[: MAX_VALUE_CHARACTERS - 1]}…"
