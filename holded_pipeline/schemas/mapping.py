"""Schemas in a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from holded_pipeline.schemas.references import LocalResolver, LocalSchemas
from holded_pipeline.schemas.schema_rules import SchemaRules, parse_draft
from holded_pipeline.schemas.schema_source import SchemaSource


@attrs.frozen
class SchemaMapping:
    """JSON Schemas in a mapping from subject to schema, with options. Without options, the mapping itself will do.

    Attributes:
        schemas: the schemas by subject. A `$ref` is an `$id` or a subject.
        draft: the draft of schemas whose `$schema` is missing or unknown: "4", "6", "7", "2019-09" or "2020-12". None
            for the newest where it is missing, and an error where it is unknown.
        formats: whether `format` is checked.
        content: whether `contentEncoding` and `contentMediaType` are checked, in the drafts that have them (from 7 on).
            None for as the draft says: in draft 7 alone.

    Raises:
        ValueError: `draft` is not known.

    Example:
        >>> order_schemas = hp.SchemaMapping({"order": {"type": "object"}}, draft="7")
        >>> validate = hp.ValidateSchema(order_schemas, subject="order")

    **Guarantees:** nothing is fetched. Two different schemas with one `$id` are an error that names both subjects.
    """

    schemas: Mapping[str, Any] = attrs.field(converter=dict)
    draft: Any = attrs.field(default=None, kw_only=True, converter=attrs.converters.optional(parse_draft))
    formats: bool = attrs.field(default=True, kw_only=True)
    content: bool | None = attrs.field(default=None, kw_only=True)

    def prepare(self) -> SchemaSource:
        """The schemas.

        Raises:
            ConfigurationError: two different schemas have one `$id`, or an `$id` is not a URI.
        """
        return LocalSchemas(self.schemas, rules=SchemaRules(self.draft, self.formats, self.content)).prepare()

    def open(self) -> LocalResolver:
        """A resolver."""
        return LocalSchemas(self.schemas, rules=SchemaRules(self.draft, self.formats, self.content)).open()
