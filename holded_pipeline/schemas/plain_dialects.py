"""Schemas with the one spelling of `$schema` that validators know, and without keywords that are not to be checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holded_pipeline.schemas.content_keywords import CONTENT_KEYWORDS
from holded_pipeline.schemas.schema_errors import unusable_schema
from holded_pipeline.schemas.schema_rules import METASCHEMAS, NEWEST, SchemaRules
from holded_pipeline.schemas.schema_source import ResolvedSchema
from holded_pipeline.schemas.uris import subschemas


def draft_of(resolved: ResolvedSchema, document: Any, default: str | None = None) -> str:
    """The draft of a schema, a key of `METASCHEMAS`.

    Args:
        resolved: the schema that is compiled.
        document: itself, or one that it refers to.
        default: the draft where the document states none and the rules name none.

    Raises:
        ConfigurationError: it is no schema, or of an unknown draft.
    """
    if not isinstance(document, dict | bool):
        raise unusable_schema(resolved.ref, f"a schema is an object, true or false, not {type(document).__name__}")
    if isinstance(document, bool) or "$schema" not in document:
        return resolved.rules.draft or default or NEWEST
    declared = document["$schema"]
    draft = resolved.rules.draft_of(declared) if isinstance(declared, str) else None
    if draft is None:
        raise unusable_schema(
            resolved.ref,
            f"$schema is {declared!r}; drafts 4, 6, 7, 2019-09 and 2020-12 are known; for one that is like one of "
            'them, give the source of the schemas its draft, such as draft="7"',
        )
    return draft


def with_plain_dialects(documents: Mapping[str, Any], resolved: ResolvedSchema, draft: str) -> dict[str, Any]:
    """Documents with the `$schema` of their draft. Schemas inside them are changed in place.

    {"$schema": "https://json-schema.org/draft-06/schema", "contentEncoding": "base64"} becomes
    {"$schema": "http://json-schema.org/draft-06/schema#"}: draft 6 has no such keyword, but a validator would check it.

    Args:
        documents: copies of the resolved schema's documents, by URI.
        resolved: the schema that they belong to.
        draft: its draft, which is that of documents without `$schema` unless the rules name another.

    Raises:
        ConfigurationError: the draft of a document is not known.
    """
    plain: dict[str, Any] = {}
    for uri, document in documents.items():
        own = draft_of(resolved, document, draft)
        plain[uri] = document
        if isinstance(document, dict):
            _use_plain_dialects(document, uri, resolved.rules, checks_content=resolved.rules.checks_content(own))
            plain[uri] = document | {"$schema": METASCHEMAS[own]}
    return plain


def _use_plain_dialects(document: Any, uri: str, rules: SchemaRules, *, checks_content: bool) -> None:
    for schema, _ in list(subschemas(document, uri)):
        if not checks_content:
            for keyword in CONTENT_KEYWORDS:
                schema.pop(keyword, None)
        declared = schema.get("$schema")
        draft = rules.draft_of(declared) if isinstance(declared, str) else None
        if draft is not None:
            schema["$schema"] = METASCHEMAS[draft]
