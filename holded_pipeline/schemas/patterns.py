r"""The keywords with patterns for names, for explanations: matched by the Rust validator's engine.

Python's regular expressions take for ever over some texts (`^(a+)+$` over `aaaa…!`), and would let one record hold up
a run that the verdict on it did not; they also do not know all that JSON Schema's do, such as `\p{Lu}`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema_rs
from jsonschema.exceptions import ValidationError

OPTIONS: Final = jsonschema_rs.FancyRegexOptions()  # it gives up after a million steps


@functools.lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Any:
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=OPTIONS)


def _matches(pattern: str, text: str) -> bool:
    return bool(_matcher(pattern).is_valid(text))


def pattern_properties(validator: Any, schemas: Mapping[str, Any], instance: Any, _: Any) -> Iterator[ValidationError]:
    """What `jsonschema` does for `patternProperties`."""
    if isinstance(instance, Mapping):
        for pattern, schema in schemas.items():
            for name, value in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """What `jsonschema` does for `additionalProperties`."""
    if not isinstance(instance, Mapping):
        return
    patterns = schema.get("patternProperties", ())
    others = [name for name in instance if name not in schema.get("properties", ())]
    extra = [name for name in others if not any(_matches(pattern, name) for pattern in patterns)]
    if isinstance(allowed, Mapping):
        for name in extra:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extra:
        named = ", ".join(repr(name) for name in extra)
        were = "was" if len(extra) == 1 else "were"
        yield ValidationError(f"Additional properties are not allowed ({named} {were} unexpected)")
