"""What a user gave as schemas: a source, or a mapping; anything else is an error that says how to make a source."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

from holded_pipeline.schemas.references import LocalSchemas
from holded_pipeline.schemas.schema_source import SchemaSource
from holded_pipeline.servers.argument_types import url_without_password, wrong_argument

_WANTED: Final = "a source of schemas"
_OTHER_WORDS: Final = frozenset({"$schema", "$id", "$ref", "$defs", "type", "properties", "required", "title"})
"""Members of a schema, which are no subjects."""


def schema_source_of(given: Any, whose: str) -> SchemaSource:
    """The source of schemas that was given; of a mapping its schemas.

    Raises:
        TypeError: it is neither; the message says how to make one.
    """
    if isinstance(given, Mapping):
        _require_subjects(given, whose)
        return LocalSchemas(dict(given))
    has_methods = all(callable(getattr(given, name, None)) for name in ("prepare", "open"))
    if inspect.isclass(given) or isinstance(given, PurePath) or not has_methods:
        raise wrong_argument(whose, _WANTED, given, _example_for(given))
    source: SchemaSource = given
    return source


def _example_for(given: Any) -> str:
    if isinstance(given, str | PurePath):
        text = str(given)
        url = url_without_password(text, "http", "https")
        if url is not None or "://" in text:
            return f'hp.SchemaRegistry("{url or "http://localhost:8081"}")'
        if text.lstrip()[:1] in ("{", "["):
            return 'a mapping from subject to schema, {"order": json.loads(text)}'
        return f'hp.SchemaDirectory("{text}")'
    return (
        'hp.SchemaDirectory("schemas/"), hp.SchemaRegistry("http://localhost:8081"), or {"order": {"type": "object"}}'
    )


def _require_subjects(schemas: Mapping[Any, Any], whose: str) -> None:
    """A schema alone looks like a mapping of subjects `type`, `properties`; no event would find one of these."""
    words = _OTHER_WORDS & set(schemas)
    if words and any(not isinstance(schemas[word], dict | bool) for word in words):
        shown = json.dumps(sorted(words))[1:-1]
        raise TypeError(
            f"{whose} needs a mapping from subject to schema, and this one is a schema itself, with {shown}; name its "
            'subject: {"order": schema}, subject="order"'
        )
