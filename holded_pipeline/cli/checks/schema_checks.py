"""Checks of the schemas: the source answers, and each schema that it lists can be used."""

from __future__ import annotations

import contextlib
from typing import Final

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.schemas.compiled_schema import CompiledSchema
from holded_pipeline.schemas.references import LocalSchemas
from holded_pipeline.schemas.registry import SchemaRegistry
from holded_pipeline.schemas.schema_source import SchemaSource

_NO_SUBJECT: Final = "holded-pipeline-check"
_LISTED: Final = 3


def check_schemas(source: SchemaSource, subject: str) -> str:
    """Each schema compiles. A registry cannot be listed by this library: it is asked for a subject that it has not."""
    prepared = source.prepare()
    if isinstance(prepared, LocalSchemas):
        return f"{_compile_all(prepared):,} schemas, an event's is {subject}"
    with contextlib.closing(prepared.open()) as resolver, contextlib.suppress(RejectRecord):
        resolver.resolve(_NO_SUBJECT, None)
    name = prepared.url if isinstance(prepared, SchemaRegistry) else type(prepared).__name__
    return f"{name} answers; its schemas are compiled when events need them"


def _compile_all(schemas: LocalSchemas) -> int:
    wrong: list[str] = []
    for subject in schemas.documents:
        try:
            CompiledSchema(schemas.resolve(subject, None))
        except ConfigurationError as error:
            wrong.append(str(error))
    if wrong:
        more = f" (and {len(wrong) - _LISTED} more)" if len(wrong) > _LISTED else ""
        raise ConfigurationError("; ".join(wrong[:_LISTED]) + more)
    return len(schemas.documents)
