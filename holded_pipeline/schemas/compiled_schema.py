"""A JSON Schema compiled once to check many documents.

`jsonschema-rs` decides whether a document is valid. `jsonschema` checks the schema itself and lists the violations
of an invalid document (`explanations`). References are never fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import jsonschema_rs
import jsonschema_specifications
import referencing
import referencing.jsonschema

from holded_pipeline.model.carried_text import make_entry
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Violation
from holded_pipeline.schemas.check_cost import bytes_checked_here
from holded_pipeline.schemas.content_keywords import CONTENT_KEYWORDS
from holded_pipeline.schemas.plain_dialects import draft_of, with_plain_dialects
from holded_pipeline.schemas.rust_validators import PATTERN_OPTIONS, RUST_VALIDATORS
from holded_pipeline.schemas.schema_errors import naming_schema, truncate_message, unusable_schema
from holded_pipeline.schemas.schema_rules import METASCHEMAS
from holded_pipeline.schemas.schema_source import ResolvedSchema
from holded_pipeline.schemas.shared_ids import require_one_schema_per_uri
from holded_pipeline.schemas.uris import kept_uris, one_uri_per_document

if TYPE_CHECKING:
    from holded_pipeline.schemas.explanations import ViolationFinder

_METASCHEMAS: dict[str, Any] = {
    uri: jsonschema_specifications.REGISTRY.contents(uri) for uri in jsonschema_specifications.REGISTRY
}


class CompiledSchema:
    """A schema ready to check documents.

    Attributes:
        resolved: the schema as its source has it.
        ref: which schema it is.
        entries: the entry `schema` that an event's metadata get for it.
        draft: its draft, a key of `METASCHEMAS`.
        uri: its URI in the registry.
        registry: it and all schemas that it refers to, as `referencing` has them.

    Args:
        resolved: the schema. Without `$schema` it is of the draft that its source's rules say, or of 2020-12. A schema
            it refers to that has no `$schema` is of the draft that the rules say, or that of the schema itself.

    Raises:
        ConfigurationError: it is not a valid schema, is of an unknown draft, refers to a missing schema, or to two
            schemas with one URI.
    """

    def __init__(self, resolved: ResolvedSchema) -> None:
        self.resolved = resolved
        self.ref = resolved.ref
        self.entries = {"schema": make_entry("schema", attrs.asdict(resolved.ref))}
        with naming_schema(resolved.ref):
            self.draft = draft_of(resolved, resolved.document)
            _validate_schema(resolved, self.draft)
            self.uri = kept_uris(resolved.documents)[resolved.uri]
            documents = one_uri_per_document(resolved.documents)
            require_one_schema_per_uri(documents, self.ref.subject)
            documents = with_plain_dialects(documents, resolved, self.draft)
            self._validator = _build_rust_validator(resolved, self.uri, documents, self.draft)
            self.registry = _python_registry(documents, self.draft)
        self._formats = resolved.rules.formats

    def check(self, document: Any) -> tuple[Violation, ...]:
        """Every violation of a document, most relevant first; empty if it is valid.

        Args:
            document: a JSON value as `json_codec.decode` returns it.
        """
        return () if self.is_valid(document) else self.violations.find(document)

    @cached_property
    def bytes_checked_here(self) -> int:
        """The size of documents up to which a check takes little; see `check_cost`."""
        return bytes_checked_here(self.resolved)

    def is_valid(self, document: Any) -> bool:
        """Whether a document fits the schema."""
        return bool(self._validator.is_valid(document))

    @cached_property
    def violations(self) -> ViolationFinder:
        """Finds the violations of a document that does not fit."""
        from holded_pipeline.schemas.explanations import ViolationFinder  # noqa: PLC0415  see `rust_validators`

        return ViolationFinder(self.draft, self.uri, self.registry, self._validator, formats=self._formats)


def _validate_schema(resolved: ResolvedSchema, draft: str) -> None:
    document = resolved.document
    if isinstance(document, dict):  # its own spelling of `$schema` may be one that `jsonschema` warns of
        document = document | {"$schema": METASCHEMAS[draft]}
    if jsonschema_rs.meta.is_valid(document):
        return
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415  see `rust_validators`

    from holded_pipeline.schemas.explaining_validator import PYTHON_VALIDATORS  # noqa: PLC0415

    try:
        # Without formats: Python's regular expressions are not those of JSON Schema; the Rust validator knows them.
        PYTHON_VALIDATORS[draft].check_schema(document, format_checker=None)
    except SchemaError as error:
        pointer = json_pointer(error.absolute_path) or "the top"
        message = f"it is not valid JSON Schema: at {pointer}, {truncate_message(error.message)}"
        raise unusable_schema(resolved.ref, message) from error


def _build_rust_validator(resolved: ResolvedSchema, uri: str, documents: Mapping[str, Any], draft: str) -> Any:
    try:
        # Not through a schema that only refers to this one: `$recursiveRef` would start from there.
        return RUST_VALIDATORS[draft](
            documents[uri],
            base_uri=uri,
            registry=jsonschema_rs.Registry(list({**_METASCHEMAS, **documents}.items()), retriever=_never_fetch),
            retriever=_never_fetch,
            validate_formats=resolved.rules.formats,
            pattern_options=PATTERN_OPTIONS,
            keywords=CONTENT_KEYWORDS,
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, LookupError) as error:
        message = getattr(error, "message", str(error))  # of a ValidationError, whose text has several lines
        raise unusable_schema(resolved.ref, f"it cannot be compiled: {truncate_message(message)}") from error


def _python_registry(documents: Mapping[str, Any], draft: str) -> Any:
    """The schemas as `jsonschema` takes them."""
    specification = referencing.jsonschema.specification_with(METASCHEMAS[draft])
    return jsonschema_specifications.REGISTRY.with_resources(
        (uri, referencing.Resource.from_contents(document, default_specification=specification))
        for uri, document in documents.items()
    )


def _never_fetch(uri: str) -> NoReturn:
    raise LookupError(f"no known schema has the URI {uri}, and nothing is fetched; add the schema or correct the $ref")
