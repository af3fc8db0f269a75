r"""The keywords with patterns for property names, matched by the Rust validator's engine.

`explaining_validator` uses them instead of `jsonschema`'s own, for two reasons. Python's `re` may need hours for one
match, while the Rust engine gives up after a million steps. And it lacks syntax that JSON Schema allows:

    pattern      text                  Python's re               here
    ^(a+)+$      "aaaaaaaaaaaaaaa…!"   hours                     no match, at once
    ^\p{Lu}      "Ñandú"               error: bad escape \p      match
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
from jsonschema.exceptions import ValidationError

from holded_pipeline.schemas.explanation_budget import count_steps
from holded_pipeline.schemas.rust_validators import PATTERN_OPTIONS

_MATCHES_PER_STEP = 8


@functools.lru_cache(maxsize=1024)
def _compile_pattern(pattern: str) -> Any:
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=PATTERN_OPTIONS)


def _matches(pattern: str, text: str) -> bool:
    return bool(_compile_pattern(pattern).is_valid(text))


def pattern_properties(validator: Any, schemas: Mapping[str, Any], instance: Any, _: Any) -> Iterator[ValidationError]:
    """The errors of `patternProperties`, as `jsonschema` yields them.

    Args:
        validator: the validator that applies the keyword.
        schemas: the keyword's value, a schema for each pattern.
        instance: the value to check.

    With `schemas` {"^x-": {"type": "string"}} and the instance {"x-a": 1, "b": 2} there is one error, at `x-a`.
    """
    if isinstance(instance, Mapping):
        count_steps(len(schemas) * len(instance) // _MATCHES_PER_STEP)
        for pattern, schema in schemas.items():
            for name, value in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The errors of `additionalProperties`, as `jsonschema` yields them.

    Args:
        validator: the validator that applies the keyword.
        allowed: the keyword's value, a schema for all additional properties, or whether there may be any.
        instance: the value to check.
        schema: the schema that the keyword is in.

    With `schema` {"properties": {"a": {}}, "patternProperties": {"^x-": {}}, "additionalProperties": False} and the
    instance {"a": 1, "x-b": 2, "c": 3} there is one error:
    "Additional properties are not allowed ('c' was unexpected)".
    """
    if not isinstance(instance, Mapping):
        return
    patterns = schema.get("patternProperties", ())
    count_steps(len(patterns) * len(instance) // _MATCHES_PER_STEP)
    undeclared = [name for name in instance if name not in schema.get("properties", ())]
    additional = [name for name in undeclared if not any(_matches(pattern, name) for pattern in patterns)]
    if isinstance(allowed, Mapping):
        for name in additional:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and additional:
        names = ", ".join(repr(name) for name in additional)
        verb = "was" if len(additional) == 1 else "were"
        yield ValidationError(f"Additional properties are not allowed ({names} {verb} unexpected)")
