"""JSON Schemas: compiled once, checked fast, explained in full.

`jsonschema-rs` gives the verdict. `jsonschema` checks the schema itself and explains a refusal (`explanations`).
Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

import attrs
import jsonschema
import jsonschema_rs
import jsonschema_specifications
import referencing
import referencing.jsonschema
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import SchemaRef, Violation
from holded_pipeline.schemas.explanations import ViolationExplainer, truncate_message
from holded_pipeline.schemas.judged_keywords import DRAFTS
from holded_pipeline.schemas.patterns import OPTIONS
from holded_pipeline.schemas.uris import one_uri_each

_DEFAULT_DRAFT: Any = jsonschema.Draft202012Validator
_METASCHEMAS: dict[str, Any] = {
    uri: jsonschema_specifications.REGISTRY.contents(uri) for uri in jsonschema_specifications.REGISTRY
}


@attrs.frozen
class ResolvedSchema:
    """A schema with everything it refers to.

    Attributes:
        ref: its subject, version and id.
        uri: the absolute URI that its relative references start from.
        documents: the schema itself, under `uri`, and all that it may refer to, under absolute URIs.
    """

    ref: SchemaRef
    uri: str
    documents: Mapping[str, Any]

    @property
    def document(self) -> Any:
        """The schema itself."""
        return self.documents[self.uri]


class SchemaResolver(Protocol):
    """An open source of schemas, one per worker."""

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        """The schema of a subject; `version` None means the latest.

        Raises:
            RejectRecord: there is no such subject (`unknown_subject`) or version (`unknown_version`).
            ConfigurationError: the source cannot be used as it is set up.
            TransientError: the source did not answer; never a reason to reject anything.
        """
        ...

    def close(self) -> None:
        """Gives connections back."""
        ...


class SchemaSource(Protocol):
    """Where schemas come from: `SchemaDirectory`, `SchemaRegistry`, or something of your own."""

    def prepare(self) -> SchemaSource:
        """What is sent to the workers; called once, where the pipeline is built."""
        ...

    def open(self) -> SchemaResolver:
        """Called once per worker."""
        ...


class CompiledSchema:
    """A schema ready to check documents.

    Args:
        resolved: the schema. Without `$schema` it is taken for draft 2020-12, and what it refers to for its own draft.

    Raises:
        ConfigurationError: it is no valid schema, of no known draft, or refers to what is not there.
    """

    def __init__(self, resolved: ResolvedSchema) -> None:
        self.ref = resolved.ref
        draft = _draft_of(resolved)
        _check_schema(resolved, draft)
        documents = {uri: _with_draft(each, draft) for uri, each in one_uri_each(resolved.documents).items()}
        resolved = attrs.evolve(resolved, documents=documents)
        self._verdict = _verdict_of(resolved, draft)
        self._explanation = ViolationExplainer(draft, resolved.uri, _registry(resolved, draft), self._verdict)

    def check(self, document: Any) -> tuple[Violation, ...]:
        """Every violation of a document, most telling first; none if it is valid.

        Args:
            document: a JSON value as `json_codec.decode` gives it.
        """
        return () if self._verdict.is_valid(document) else self._explanation.of(document)


def _draft_of(resolved: ResolvedSchema) -> Any:
    document = resolved.document
    if not isinstance(document, dict | bool):
        _refuse(resolved, f"a schema is an object, true or false, not {type(document).__name__}")
    declared = document.get("$schema") if isinstance(document, dict) else None
    otherwise: Any = _DEFAULT_DRAFT if declared is None else None
    draft = validator_for(document, default=otherwise)
    if draft not in DRAFTS:
        _refuse(resolved, f"$schema is {declared!r}; drafts 4, 6, 7, 2019-09 and 2020-12 are known")
    return draft


def _check_schema(resolved: ResolvedSchema, draft: Any) -> None:
    try:
        # Without formats: Python's regular expressions are not those of JSON Schema; the Rust validator knows them.
        draft.check_schema(resolved.document, format_checker=None)
    except SchemaError as error:
        place = json_pointer(error.absolute_path) or "the top"
        _refuse(resolved, f"it is no valid schema: at {place}, {truncate_message(error.message)}")


def _with_draft(document: Any, draft: Any) -> Any:
    """A schema that says no draft is of that of the one that is asked for, to both validators."""
    return {"$schema": draft.META_SCHEMA["$schema"], **document} if isinstance(document, dict) else document


def _verdict_of(resolved: ResolvedSchema, draft: Any) -> Any:
    try:
        return DRAFTS[draft](
            _entry(resolved, draft),
            registry=jsonschema_rs.Registry(list({**_METASCHEMAS, **resolved.documents}.items()), retriever=_never),
            retriever=_never,
            validate_formats=True,
            pattern_options=OPTIONS,
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, LookupError) as error:
        _refuse(resolved, f"it cannot be used: {truncate_message(str(error))}")


def _registry(resolved: ResolvedSchema, draft: Any) -> Any:
    """The schemas for `jsonschema`."""
    specification = referencing.jsonschema.specification_with(draft.META_SCHEMA["$schema"])
    return jsonschema_specifications.REGISTRY.with_resources(
        (uri, referencing.Resource.from_contents(document, default_specification=specification))
        for uri, document in resolved.documents.items()
    )


def _entry(resolved: ResolvedSchema, draft: Any) -> dict[str, Any]:
    """A schema that only refers to the real one, which thereby has its URI without having to say it itself."""
    return {"$schema": draft.META_SCHEMA["$schema"], "$ref": resolved.uri}


def _never(uri: str) -> NoReturn:
    raise LookupError(f"{uri} is not among the schemas at hand, and nothing is fetched")


def _refuse(resolved: ResolvedSchema, why: str) -> NoReturn:
    version = "" if resolved.ref.version is None else f", version {resolved.ref.version},"
    raise ConfigurationError(f"the schema of subject {resolved.ref.subject!r}{version} is not usable: {why}")
