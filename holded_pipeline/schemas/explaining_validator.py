"""A `jsonschema` validator that lists the violations of a document which the Rust validator found invalid.

`jsonschema` has readable messages for every violation, but it decides differently from `jsonschema-rs` about some
values: formats, decimal numbers, encoded content. So each keyword that depends on one value alone asks the Rust
validator whether the value is valid, and asks `jsonschema` only for the message:

    schema    {"properties": {"price": {"multipleOf": 0.01}, "n": {"type": "integer"}}}
    document  {"price": 19.99, "n": "x"}
    Rust        /n: "x" is not of type "integer"
    jsonschema  /n: 'x' is not of type 'integer', /price: 19.99 is not a multiple of 0.01   (a rounding error)
    here        /n: 'x' is not of type 'integer'

The Rust validator's `iter_errors` over the whole document would do without `jsonschema`. But each of its errors keeps
a copy of the object it is in: an object with four thousand invalid names takes gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import attrs
import jsonschema
from jsonschema import validators
from jsonschema.exceptions import ValidationError
from jsonschema.validators import validator_for

from holded_pipeline.schemas.content_keywords import CONTENT_KEYWORDS
from holded_pipeline.schemas.explanation_budget import count_steps, counting_steps
from holded_pipeline.schemas.patterns import additional_properties, pattern_properties
from holded_pipeline.schemas.rust_validators import PATTERN_OPTIONS, RUST_VALIDATORS

PYTHON_VALIDATORS: Final[dict[str, Any]] = {
    "4": jsonschema.Draft4Validator,
    "6": jsonschema.Draft6Validator,
    "7": jsonschema.Draft7Validator,
    "2019-09": jsonschema.Draft201909Validator,
    "2020-12": jsonschema.Draft202012Validator,
}
"""The class of `jsonschema` for each draft."""

_DRAFTS: Final = {validator: draft for draft, validator in PYTHON_VALIDATORS.items()}

_NUMBER = (int, float, Decimal)
# The keywords that the Rust validator decides about, and the types of the values that each constrains.
_CHECKED_TYPES: Final[dict[str, Any]] = {
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
    "type": _NUMBER,  # about other values the two libraries agree
    "uniqueItems": list,
}
_NOT_IN_JSONSCHEMA: Final = {"contentEncoding", "contentMediaType"}  # see `content_keywords`
_MODIFIED_BY: Final = {  # a keyword, and the one beside it that changes its meaning
    "contentMediaType": "contentEncoding",
    "maximum": "exclusiveMaximum",  # in draft 4, where it is true or false
    "minimum": "exclusiveMinimum",
}
_MESSAGES: Final = {  # of the value {0} and the keyword's value {1}, where `jsonschema` has no message or is slow
    "const": "{1!r} was expected",
    "contentEncoding": "{0!r} is not encoded in {1!r}",
    "contentMediaType": "{0!r} is not valid {1!r}",
    "enum": "{0!r} is not one of {1!r}",
    "format": "{0!r} is not a {1!r}",
    "multipleOf": "{0!r} is not a multiple of {1}",
    "pattern": "{0!r} does not match {1!r}",
    "uniqueItems": "{0!r} has non-unique elements",
}


def explaining_validator_class(draft: Any, *, formats: bool = True) -> Any:
    """A class of `jsonschema` validators that agree with the Rust validator. Use one class for each schema.

    Args:
        draft: a value of `PYTHON_VALIDATORS`. A subschema with a `$schema` of its own is checked as that says.
        formats: whether `format` is checked.
    """
    classes: dict[Any, Any] = {}

    def class_for(base: Any) -> Any:
        if base in _DRAFTS and base not in classes:
            classes[base] = _extend_draft(base, evolve, formats=formats)
        return classes.get(base, base)

    def evolve(self: Any, **changes: Any) -> Any:
        """As in `jsonschema`, which calls it for every subschema; but counts, and stays with these classes."""
        count_steps()
        schema = changes.setdefault("schema", self.schema)
        for field in attrs.fields(type(self)):
            if field.init:
                changes.setdefault(field.alias, getattr(self, field.name))
        return class_for(validator_for(schema, default=type(self)))(**changes)

    return class_for(draft)


def _extend_draft(draft: Any, evolve: Callable[..., Any], *, formats: bool) -> Any:
    """The class of a draft with the keywords, `evolve` and `descend` of this module."""
    rust_validators = _KeywordValidators(RUST_VALIDATORS[_DRAFTS[draft]], formats=formats)
    extend: Any = validators.extend  # it has no types
    known = draft.VALIDATORS
    checks = known | {
        keyword: _rust_checked(keyword, rust_validators, known.get(keyword, _no_errors))
        for keyword in _CHECKED_TYPES
        if keyword in known or keyword in _NOT_IN_JSONSCHEMA
    }
    checks |= {
        "additionalProperties": additional_properties,
        "dependencies": jsonschema.Draft7Validator.VALIDATORS["dependencies"],  # Rust checks it in later drafts too
        "patternProperties": pattern_properties,
    }
    extended = extend(draft, {keyword: counting_steps(check) for keyword, check in checks.items()})
    extended.evolve = evolve
    extended.descend = _descend_with_path(extended.descend)
    return extended


def _descend_with_path(original: Callable[..., Any]) -> Callable[..., Any]:
    """`jsonschema`'s `descend`, which omits the path of an error under the schema `false`, with that path.

    For the schema {"properties": {"a": false}} and the document {"a": 1}, the error is at `/a` instead of at the top.
    """

    def descend(self: Any, instance: Any, schema: Any, path: Any = None, schema_path: Any = None, **more: Any) -> Any:
        errors = original(self, instance, schema, path, schema_path, **more)
        return errors if schema is not False else _add_path(errors, path, schema_path)

    return descend


def _add_path(errors: Iterator[ValidationError], path: Any, schema_path: Any) -> Iterator[ValidationError]:
    for error in errors:
        error.path.extend(() if path is None else (path,))
        error.schema_path.extend(() if schema_path is None else (schema_path,))
        yield error


class _KeywordValidators:
    """Rust validators for single keywords of a schema, each compiled when it is first needed.

    For the keyword `minimum` of {"type": "number", "minimum": 0, "exclusiveMinimum": true, "title": "Price"} that is
    the validator of {"minimum": 0, "exclusiveMinimum": true}.
    """

    def __init__(self, validator_class: Any, *, formats: bool) -> None:
        self._validator_class = validator_class
        self._formats = formats
        self._compiled: dict[tuple[str, int], tuple[Any, Any]] = {}

    def get(self, keyword: str, schema: dict[str, Any]) -> Any:
        key = keyword, id(schema)  # no other schema gets this id, since the schema is kept beside the validator
        if key not in self._compiled:
            alone = {name: schema[name] for name in (keyword, *_modifiers(keyword, schema))}
            validator = self._validator_class(
                alone, validate_formats=self._formats, pattern_options=PATTERN_OPTIONS, keywords=CONTENT_KEYWORDS
            )
            self._compiled[key] = schema, validator
        return self._compiled[key][1]


def _modifiers(keyword: str, schema: dict[str, Any]) -> tuple[str, ...]:
    """The keyword in the schema that changes what `keyword` means, if there is one."""
    modifier = _MODIFIED_BY.get(keyword, "")
    return (modifier,) if isinstance(schema.get(modifier), bool | str) else ()


def _rust_checked(keyword: str, rust_validators: _KeywordValidators, python_check: Callable[..., Any]) -> Any:
    """The function that `jsonschema` calls for a keyword: the Rust validator decides, `python_check` explains.

    With the keyword `maximum` and the schema {"maximum": 1}, the value 2 yields `python_check`'s error, "2 is greater
    than the maximum of 1". The value 1 yields nothing, whatever `python_check` would say.
    """

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(instance, _CHECKED_TYPES[keyword]):
            yield from python_check(validator, value, instance, schema) or ()
            return
        rust_validator = rust_validators.get(keyword, schema)
        if rust_validator.is_valid(instance):
            return
        if keyword == "contentMediaType" and not all(
            rust_validators.get(modifier, schema).is_valid(instance) for modifier in _modifiers(keyword, schema)
        ):
            return  # content that cannot be decoded is the violation of `contentEncoding` alone
        if keyword in _MESSAGES:
            yield ValidationError(_MESSAGES[keyword].format(instance, value))
            return
        explained = list(python_check(validator, value, instance, schema) or ())
        yield from explained or [_rust_error(rust_validator, instance)]

    return check


def _no_errors(*_: Any) -> tuple[ValidationError, ...]:
    return ()


def _rust_error(rust_validator: Any, instance: Any) -> ValidationError:
    return ValidationError(next(iter(rust_validator.iter_errors(instance))).message)
