"""Checks an event against the schema of its subject."""

from __future__ import annotations

from holded_pipeline.model.carried_text import data_of
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, SchemaRef
from holded_pipeline.schemas.compiled_schema import CompiledSchema
from holded_pipeline.schemas.schema_source import ResolvedSchema, SchemaResolver
from holded_pipeline.schemas.subjects import Subject

_MAX_RESOLVED = 1_000  # that are found without their hash


class EventCheck:
    """Finds the schema of each event, and compiles each schema once."""

    def __init__(self, resolver: SchemaResolver, subject: Subject, version: int | None) -> None:
        self._resolver = resolver
        self._subject = subject
        self._version = version
        self._compiled: dict[SchemaRef, CompiledSchema] = {}
        # A resolver gives the same object for as long as it keeps a schema, and the hash of a SchemaRef is slow.
        self._by_identity: dict[int, tuple[ResolvedSchema, CompiledSchema]] = {}

    def schema_of(self, event: Event) -> CompiledSchema:
        """The schema to check the event against.

        Raises:
            RejectRecord: there is none (`unknown_subject`, `unknown_version`, `subject_error`).
            ConfigurationError: the schema is not usable, or its source is set up wrongly.
            TransientError: the registry did not answer.
        """
        resolved = self._resolver.resolve(self._subject(event), self._version)
        known = self._by_identity.get(id(resolved))
        if known is not None and known[0] is resolved:
            return known[1]
        compiled = self._compiled.get(resolved.ref)
        if compiled is None:
            compiled = self._compiled[resolved.ref] = CompiledSchema(resolved)
        if len(self._by_identity) >= _MAX_RESOLVED:
            self._by_identity.clear()
        self._by_identity[id(resolved)] = resolved, compiled
        return compiled


def require_valid(compiled: CompiledSchema, event: Event) -> None:
    """Returns if the event's data fit the schema.

    Raises:
        RejectRecord: `schema_violation`, with every violation.
    """
    violations = compiled.check(data_of(event))
    if violations:
        count = "1 violation" if len(violations) == 1 else f"{len(violations)} violations"
        first = f"{violations[0].pointer or 'the document'}: {violations[0].message}"
        raise RejectRecord(
            "schema_violation", f"{count} of the schema {compiled.ref.subject!r}, first {first}", violations
        )
