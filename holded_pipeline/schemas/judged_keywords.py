"""JSON Schema's keywords for explanations: the Rust validator decides about each value, `jsonschema` finds the words.

Both find their way through schema and document alike, but do not agree about every value: formats, `19.99` as a
multiple of `0.01`, encoded content. So each keyword that looks at a value alone is judged by the one that gives the
verdict. Asking that one for the errors of whole documents is no way: each of its errors keeps a copy of the object it
stands in, and an object with four thousand bad names takes gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, Final

import attrs
import jsonschema
import jsonschema_rs
from jsonschema import validators
from jsonschema.exceptions import ValidationError
from jsonschema.validators import validator_for

from holded_pipeline.schemas.patterns import OPTIONS, additional_properties, pattern_properties

DRAFTS: Final[dict[Any, Any]] = {
    jsonschema.Draft4Validator: jsonschema_rs.Draft4Validator,
    jsonschema.Draft6Validator: jsonschema_rs.Draft6Validator,
    jsonschema.Draft7Validator: jsonschema_rs.Draft7Validator,
    jsonschema.Draft201909Validator: jsonschema_rs.Draft201909Validator,
    jsonschema.Draft202012Validator: jsonschema_rs.Draft202012Validator,
}
"""The validators that are known, and who gives the verdict for each."""

STEPS: Final[ContextVar[list[int]]] = ContextVar("steps")
"""How many more values may be held against schemas, by whoever asks; without it any number."""

_NUMBER = (int, float, Decimal)
_LOOKS_AT: Final[dict[str, Any]] = {
    "const": object,
    "contentEncoding": str,
    "contentMediaType": str,
    "enum": object,
    "exclusiveMaximum": _NUMBER,
    "exclusiveMinimum": _NUMBER,
    "format": str,
    "maximum": _NUMBER,
    "minimum": _NUMBER,
    "multipleOf": _NUMBER,
    "pattern": str,
    "type": _NUMBER,  # about others there are no two opinions
    "uniqueItems": list,
}
_UNKNOWN: Final = {"contentEncoding", "contentMediaType"}  # to `jsonschema`; in drafts 6 and 7 they count
_BESIDE: Final = {
    "contentMediaType": "contentEncoding",
    "maximum": "exclusiveMaximum",  # in draft 4, where it is true or false
    "minimum": "exclusiveMinimum",
}
_WORDS: Final = {  # where `jsonschema` has none, or takes its time over them
    "const": "{1!r} was expected",
    "contentEncoding": "{0!r} is not encoded in {1!r}",
    "contentMediaType": "{0!r} does not hold {1!r}",
    "enum": "{0!r} is not one of {1!r}",
    "format": "{0!r} is not a {1!r}",
    "multipleOf": "{0!r} is not a multiple of {1}",
    "pattern": "{0!r} does not match {1!r}",
    "uniqueItems": "{0!r} has non-unique elements",
}


class TooManyStepsError(Exception):
    """The way through schema and document is too long; recursion and `unevaluatedProperties` can double it by level."""


def judged(draft: Any) -> Any:
    """A class of `jsonschema` that finds what the Rust validator of each draft finds; for one schema, for its life.

    Args:
        draft: one of `DRAFTS`; a schema inside that says another is judged by that one.
    """
    made: dict[Any, Any] = {}

    def judging(base: Any) -> Any:
        if base in DRAFTS and base not in made:
            made[base] = _judging(base, evolve)
        return made.get(base, base)

    def evolve(self: Any, **changes: Any) -> Any:
        """What `jsonschema` does, with this schema's classes instead of its own."""
        left = STEPS.get(None)
        if left is not None:
            left[0] -= 1
            if left[0] < 0:
                raise TooManyStepsError
        schema = changes.setdefault("schema", self.schema)
        for field in attrs.fields(type(self)):
            if field.init:
                changes.setdefault(field.alias, getattr(self, field.name))
        return judging(validator_for(schema, default=type(self)))(**changes)

    return judging(draft)


def _judging(draft: Any, evolve: Callable[..., Any]) -> Any:
    judge = _Judge(DRAFTS[draft])
    extend: Any = validators.extend  # which has no types
    known = draft.VALIDATORS
    extended = extend(
        draft,
        {name: _rule(judge, name, known.get(name)) for name in _LOOKS_AT if name in known or name in _UNKNOWN}
        | {
            "additionalProperties": additional_properties,
            "dependencies": jsonschema.Draft7Validator.VALIDATORS["dependencies"],  # later drafts keep it for the old
            "patternProperties": pattern_properties,
        },
    )
    extended.evolve = evolve
    extended.descend = _descending(extended.descend)
    return extended


def _descending(original: Callable[..., Any]) -> Callable[..., Any]:
    """What `jsonschema` does, with the place of what a schema of `false` forbids, which it leaves out."""

    def descend(self: Any, instance: Any, schema: Any, path: Any = None, schema_path: Any = None, **more: Any) -> Any:
        found = original(self, instance, schema, path, schema_path, **more)
        return found if schema is not False else _placed(found, path, schema_path)

    return descend


def _placed(errors: Iterator[ValidationError], path: Any, schema_path: Any) -> Iterator[ValidationError]:
    for error in errors:
        error.path.extend(() if path is None else (path,))
        error.schema_path.extend(() if schema_path is None else (schema_path,))
        yield error


class _Judge:
    """The Rust validator of single keywords, made where they are first met."""

    def __init__(self, validator: Any) -> None:
        self._validator = validator
        self._made: dict[tuple[str, int], tuple[Any, Any]] = {}

    def of(self, keyword: str, schema: dict[str, Any]) -> Any:
        key = keyword, id(schema)  # which stays the schema's alone, since the schema is kept
        if key not in self._made:
            alone = {name: schema[name] for name in (keyword, *_beside(keyword, schema))}
            self._made[key] = schema, self._validator(alone, validate_formats=True, pattern_options=OPTIONS)
        return self._made[key][1]


def _beside(keyword: str, schema: dict[str, Any]) -> tuple[str, ...]:
    """The keyword that changes what the other means."""
    other = _BESIDE.get(keyword, "")
    return (other,) if isinstance(schema.get(other), bool | str) else ()


def _rule(judge: _Judge, keyword: str, original: Any) -> Any:
    def rule(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(instance, _LOOKS_AT[keyword]):
            if original:
                yield from original(validator, value, instance, schema) or ()
        elif not judge.of(keyword, schema).is_valid(instance):
            if keyword == "contentMediaType" and not all(
                judge.of(other, schema).is_valid(instance) for other in _beside(keyword, schema)
            ):
                return  # what cannot be decoded holds nothing
            if keyword in _WORDS:
                yield ValidationError(_WORDS[keyword].format(instance, value))
                return
            explained = list(original(validator, value, instance, schema) or ()) if original else []
            yield from explained or [_told(judge.of(keyword, schema), instance)]

    return rule


def _told(validator: Any, instance: Any) -> ValidationError:
    return ValidationError(next(iter(validator.iter_errors(instance))).message)
