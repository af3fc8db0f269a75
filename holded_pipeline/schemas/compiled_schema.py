"""A JSON Schema compiled once to check many documents.

`jsonschema-rs` decides whether a document is valid. `jsonschema` checks the schema itself and lists the violations
of an invalid document (`explanations`). References are never fetched.
"""

from __future__ import annotations

from typing import Any, NoReturn

import attrs
import jsonschema
import jsonschema_rs
import jsonschema_specifications
import referencing
import referencing.jsonschema
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from holded_pipeline.model.carried_text import make_entry
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Violation
from holded_pipeline.schemas.explaining_validator import RUST_VALIDATORS
from holded_pipeline.schemas.explanations import ViolationFinder, truncate_message
from holded_pipeline.schemas.patterns import PATTERN_OPTIONS
from holded_pipeline.schemas.schema_source import ResolvedSchema
from holded_pipeline.schemas.uris import one_uri_per_document

_DEFAULT_DRAFT: Any = jsonschema.Draft202012Validator
_METASCHEMAS: dict[str, Any] = {
    uri: jsonschema_specifications.REGISTRY.contents(uri) for uri in jsonschema_specifications.REGISTRY
}


class CompiledSchema:
    """A schema ready to check documents.

    Attributes:
        ref: which schema it is.
        entries: the entry `schema` that an event's metadata get for it.

    Args:
        resolved: the schema. Without `$schema` it is of draft 2020-12. A schema it refers to that has no `$schema`
            is of the same draft as the schema itself.

    Raises:
        ConfigurationError: it is not a valid schema, is of an unknown draft, or refers to a missing schema.
    """

    def __init__(self, resolved: ResolvedSchema) -> None:
        self.ref = resolved.ref
        self.entries = {"schema": make_entry("schema", attrs.asdict(resolved.ref))}
        draft = _draft_of(resolved)
        _validate_schema(resolved, draft)
        documents = one_uri_per_document(resolved.documents)
        resolved = attrs.evolve(resolved, documents={uri: _with_draft(each, draft) for uri, each in documents.items()})
        self._validator = _build_rust_validator(resolved, draft)
        self._violations = ViolationFinder(draft, resolved.uri, _python_registry(resolved, draft), self._validator)

    def check(self, document: Any) -> tuple[Violation, ...]:
        """Every violation of a document, most relevant first; empty if it is valid.

        Args:
            document: a JSON value as `json_codec.decode` returns it.
        """
        return () if self._validator.is_valid(document) else self._violations.find(document)


def _draft_of(resolved: ResolvedSchema) -> Any:
    """The class of `jsonschema` for the schema's draft."""
    document = resolved.document
    if not isinstance(document, dict | bool):
        raise _unusable_schema(resolved, f"a schema is an object, true or false, not {type(document).__name__}")
    declared = document.get("$schema") if isinstance(document, dict) else None
    default: Any = _DEFAULT_DRAFT if declared is None else None
    draft = validator_for(document, default=default)
    if draft not in RUST_VALIDATORS:
        raise _unusable_schema(resolved, f"$schema is {declared!r}; drafts 4, 6, 7, 2019-09 and 2020-12 are known")
    return draft


def _validate_schema(resolved: ResolvedSchema, draft: Any) -> None:
    try:
        # Without formats: Python's regular expressions are not those of JSON Schema; the Rust validator knows them.
        draft.check_schema(resolved.document, format_checker=None)
    except SchemaError as error:
        pointer = json_pointer(error.absolute_path) or "the top"
        message = f"it is not valid JSON Schema: at {pointer}, {truncate_message(error.message)}"
        raise _unusable_schema(resolved, message) from error


def _with_draft(document: Any, draft: Any) -> Any:
    """The schema with a `$schema`: both validators then take one without it to be of the requested schema's draft."""
    return {"$schema": draft.META_SCHEMA["$schema"], **document} if isinstance(document, dict) else document


def _build_rust_validator(resolved: ResolvedSchema, draft: Any) -> Any:
    # This schema only refers to the real one, which thereby has its URI even if it does not state it.
    reference = {"$schema": draft.META_SCHEMA["$schema"], "$ref": resolved.uri}
    documents = {**_METASCHEMAS, **resolved.documents}
    try:
        return RUST_VALIDATORS[draft](
            reference,
            registry=jsonschema_rs.Registry(list(documents.items()), retriever=_never_fetch),
            retriever=_never_fetch,
            validate_formats=True,
            pattern_options=PATTERN_OPTIONS,
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, LookupError) as error:
        message = getattr(error, "message", str(error))  # of a ValidationError, whose text has several lines
        raise _unusable_schema(resolved, f"it cannot be compiled: {truncate_message(message)}") from error


def _python_registry(resolved: ResolvedSchema, draft: Any) -> Any:
    """The schemas as `jsonschema` takes them."""
    specification = referencing.jsonschema.specification_with(draft.META_SCHEMA["$schema"])
    return jsonschema_specifications.REGISTRY.with_resources(
        (uri, referencing.Resource.from_contents(document, default_specification=specification))
        for uri, document in resolved.documents.items()
    )


def _never_fetch(uri: str) -> NoReturn:
    raise LookupError(f"no known schema has the URI {uri}, and nothing is fetched; add the schema or correct the $ref")


def _unusable_schema(resolved: ResolvedSchema, why: str) -> ConfigurationError:
    version = "" if resolved.ref.version is None else f", version {resolved.ref.version},"
    return ConfigurationError(f"the schema of subject {resolved.ref.subject!r}{version} is not usable: {why}")
