"""Documents checked against schemas, without a pipeline."""

from __future__ import annotations

from typing import Any

from holded_pipeline.schemas.compiled_schema import CompiledSchema
from holded_pipeline.schemas.references import LocalSchemas
from holded_pipeline.schemas.schema_source import ResolvedSchema, SchemaSource

DRAFTS = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "7": "http://json-schema.org/draft-07/schema#",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}


def compile_schema(schema: Any) -> CompiledSchema:
    """A schema that refers to no other, as the subject `s`."""
    return compile_subject({"s": schema}, "s")


def compile_subject(documents: dict[str, Any], subject: str) -> CompiledSchema:
    """The schema of one subject, which may refer to the others."""
    return CompiledSchema(LocalSchemas(documents).open().resolve(subject, None))


def violations_of(source: SchemaSource, subject: str, document: Any) -> list[tuple[str, str]]:
    """Pointer and keyword of each violation of a document."""
    found = CompiledSchema(source.open().resolve(subject, None)).check(document)
    return [(violation.pointer, violation.keyword) for violation in found]


def keywords_of(resolved: ResolvedSchema, document: Any) -> list[str]:
    """The keyword of each violation of a document."""
    return [violation.keyword for violation in CompiledSchema(resolved).check(document)]
