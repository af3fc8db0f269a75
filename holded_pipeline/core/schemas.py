"""JSON Schemas: compiled once, checked fast, explained in full.

`jsonschema-rs` gives the verdict. `jsonschema` checks the schema itself and explains a refusal: every violation,
most telling first. Where it finds nothing to explain, the Rust validator's own words stand. Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Protocol

import attrs
import jsonschema
import jsonschema_rs
import jsonschema_specifications
import referencing
import referencing.jsonschema
from jsonschema.exceptions import SchemaError, best_match, relevance
from jsonschema.validators import validator_for

from holded_pipeline.core.errors import ConfigurationError
from holded_pipeline.core.patterns import bounded
from holded_pipeline.core.schema_uris import one_uri_each
from holded_pipeline.core.values import SchemaRef, Violation

MOST_VIOLATIONS = 100
"""A document with more is told how many more."""

_LONGEST_MESSAGE = 500
_DEFAULT_DRAFT: Any = jsonschema.Draft202012Validator
_DRAFTS: dict[type, Any] = {
    jsonschema.Draft4Validator: jsonschema_rs.Draft4Validator,
    jsonschema.Draft6Validator: jsonschema_rs.Draft6Validator,
    jsonschema.Draft7Validator: jsonschema_rs.Draft7Validator,
    jsonschema.Draft201909Validator: jsonschema_rs.Draft201909Validator,
    jsonschema.Draft202012Validator: jsonschema_rs.Draft202012Validator,
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
        resolved: the schema. Without `$schema` it is taken for draft 2020-12.

    Raises:
        ConfigurationError: it is no valid schema, of no known draft, or refers to what is not there.
    """

    def __init__(self, resolved: ResolvedSchema) -> None:
        self.ref = resolved.ref
        draft = _draft_of(resolved)
        _check_schema(resolved, draft)
        resolved = attrs.evolve(resolved, documents=one_uri_each(resolved.documents))
        self._verdict = _verdict_of(resolved, draft)
        self._explain = bounded(draft)(
            {"$ref": resolved.uri}, registry=_registry(resolved, draft), format_checker=draft.FORMAT_CHECKER
        )

    def check(self, document: Any) -> tuple[Violation, ...]:
        """Every violation of a document, most telling first; none if it is valid.

        Args:
            document: a JSON value as `json_codec.decode` gives it.
        """
        if self._verdict.is_valid(document):
            return ()
        return _first(self._explained(document) or self._told(document))

    def _explained(self, document: Any) -> list[Violation]:
        try:
            errors = sorted(self._explain.iter_errors(document), key=relevance, reverse=True)
        except Exception:  # noqa: BLE001  it stumbles over patterns and numbers that the other one knows
            return []
        return [
            Violation(_pointer(error.absolute_path), str(error.validator), _message(error.message))
            for each in errors
            for error in _closest(each)
        ]

    def _told(self, document: Any) -> list[Violation]:
        return [
            Violation(
                _pointer(error.instance_path),
                str(error.schema_path[-1] if error.schema_path else ""),
                _message(error.message),
            )
            for error in self._verdict.iter_errors(document)
        ]


def _closest(error: Any) -> list[Any]:
    """Inside an anyOf or oneOf, the faults of the branch with the fewest: most likely that one was meant."""
    if not error.context:
        return [error]
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    fewest = min(branches.values(), key=len)
    if sum(len(branch) == len(fewest) for branch in branches.values()) > 1:
        return [best_match([error]) or error]
    return [closest for inner in fewest for closest in _closest(inner)]


def _first(violations: list[Violation]) -> tuple[Violation, ...]:
    unique = list(dict.fromkeys(violations))
    if len(unique) <= MOST_VIOLATIONS:
        return tuple(unique)
    more = Violation("", "", f"and {len(unique) - MOST_VIOLATIONS} more violations")
    return (*unique[:MOST_VIOLATIONS], more)


def _message(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 60]} […] {text[-50:]}"


def _pointer(path: Iterable[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _draft_of(resolved: ResolvedSchema) -> Any:
    document = resolved.document
    if not isinstance(document, dict | bool):
        _refuse(resolved, f"a schema is an object, true or false, not {type(document).__name__}")
    declared = document.get("$schema") if isinstance(document, dict) else None
    otherwise: Any = _DEFAULT_DRAFT if declared is None else None
    draft = validator_for(document, default=otherwise)
    if draft not in _DRAFTS:
        _refuse(resolved, f"$schema is {declared!r}; drafts 4, 6, 7, 2019-09 and 2020-12 are known")
    return draft


def _check_schema(resolved: ResolvedSchema, draft: Any) -> None:
    try:
        # Without formats: Python's regular expressions are not those of JSON Schema; the Rust validator knows them.
        draft.check_schema(resolved.document, format_checker=None)
    except SchemaError as error:
        place = _pointer(error.absolute_path) or "the top"
        _refuse(resolved, f"it is no valid schema: at {place}, {_message(error.message)}")


def _verdict_of(resolved: ResolvedSchema, draft: Any) -> Any:
    try:
        return _DRAFTS[draft](
            _entry(resolved, draft),
            registry=jsonschema_rs.Registry(list(resolved.documents.items()), retriever=_never),
            retriever=_never,
            validate_formats=True,
            pattern_options=jsonschema_rs.FancyRegexOptions(),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, LookupError) as error:
        _refuse(resolved, f"it cannot be used: {_message(str(error))}")


def _registry(resolved: ResolvedSchema, draft: Any) -> Any:
    """The schemas for `jsonschema`, which would take its own class for every one that says its draft again."""
    specification = referencing.jsonschema.specification_with(draft.META_SCHEMA["$schema"])
    return jsonschema_specifications.REGISTRY.with_resources(
        (uri, referencing.Resource.from_contents(_without_draft(document, draft), default_specification=specification))
        for uri, document in resolved.documents.items()
    )


def _without_draft(document: Any, draft: Any) -> Any:
    if not isinstance(document, dict) or validator_for(document, default=draft) is not draft:
        return document
    return {name: value for name, value in document.items() if name != "$schema"}


def _entry(resolved: ResolvedSchema, draft: Any) -> dict[str, Any]:
    """A schema that only refers to the real one, which thereby has its URI without having to say it itself."""
    return {"$schema": draft.META_SCHEMA["$schema"], "$ref": resolved.uri}


def _never(uri: str) -> NoReturn:
    raise LookupError(f"{uri} is not among the schemas at hand, and nothing is fetched")


def _refuse(resolved: ResolvedSchema, why: str) -> NoReturn:
    version = "" if resolved.ref.version is None else f", version {resolved.ref.version},"
    raise ConfigurationError(f"the schema of subject {resolved.ref.subject!r}{version} is not usable: {why}")
