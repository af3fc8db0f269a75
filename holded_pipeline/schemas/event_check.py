"""Checks an event against the schema of its subject."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import data_of, was_read
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, SchemaRef, Violation
from holded_pipeline.schemas.compiled_schema import CompiledSchema
from holded_pipeline.schemas.isolated_check import IsolatedCheck
from holded_pipeline.schemas.schema_source import ResolvedSchema, SchemaResolver
from holded_pipeline.schemas.subjects import Subject

_MAX_RESOLVED = 1_000  # that are found without their hash
_STEPS_HERE = 5_000  # of the search for violations; the process that takes over begins anew, so its result is the same
_CAN_ISOLATE = os.name == "posix"  # elsewhere no signal ends a process inside the Rust validator


class EventCheck:
    """Finds the schema of each event, compiles each schema once, and checks events.

    It is used by one thread. A large or costly event is checked in a process of its own, so that what it may cost is
    bounded, and other threads go on.
    """

    def __init__(self, resolver: SchemaResolver, subject: Subject, version: int | None) -> None:
        self._resolver = resolver
        self._subject = subject
        self._version = version
        self._isolated = IsolatedCheck()
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
        return self._schema_for(self._subject(event))

    def schemas_of(self) -> Callable[[Event], CompiledSchema]:
        """`schema_of` for some events that are checked at once: it asks once for each of their subjects."""
        of_subject: dict[str, CompiledSchema] = {}

        def schema_of(event: Event) -> CompiledSchema:
            subject = self._subject(event)
            compiled = of_subject.get(subject)
            if compiled is None:
                compiled = of_subject[subject] = self._schema_for(subject)
            return compiled

        return schema_of

    def _schema_for(self, subject: str) -> CompiledSchema:
        resolved = self._resolver.resolve(subject, self._version)
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

    def require_valid(self, compiled: CompiledSchema, event: Event, size: int | None = None) -> None:
        """Returns if the event's data fit the schema.

        Args:
            compiled: the schema.
            event: the event.
            size: how many bytes its record has; None to find that out.

        Raises:
            RejectRecord: `schema_violation`, with every violation. `too_costly`; the check takes too much CPU time or
                memory.
            TransientError: no process for the check could be started.
        """
        data = data_of(event)
        if size is None and event.raw and was_read(event) and len(event.raw) <= compiled.bytes_checked_here:
            if compiled.is_valid(data):  # as most are
                return
            size = len(event.raw)
        violations = self._violations(compiled, data, size or _size_of(event, data))
        if violations:
            count = "1 violation" if len(violations) == 1 else f"{len(violations)} violations"
            first = f"{violations[0].pointer or 'the document'}: {violations[0].message}"
            raise RejectRecord(
                "schema_violation", f"{count} of the schema {compiled.ref.subject!r}, first {first}", violations
            )

    def _violations(self, compiled: CompiledSchema, data: Mapping[str, Any], size: int) -> tuple[Violation, ...]:
        """The violations: found here if that takes little, and else in a process of its own."""
        if not _CAN_ISOLATE:
            return compiled.check(data)
        if size <= compiled.bytes_checked_here:
            if compiled.is_valid(data):
                return ()
            found = compiled.violations.find_all(data, _STEPS_HERE)
            if found is not None:
                return found
        return self._isolated.violations(compiled, data, size)

    @property
    def isolated_seconds(self) -> float:
        """The CPU time that processes of its own took for events so far."""
        return self._isolated.cpu_seconds

    def close(self) -> None:
        """Ends the process for costly events, if there is one; the resolver stays open."""
        self._isolated.close()


def _size_of(event: Event, data: Mapping[str, Any]) -> int:
    """The bytes of an event. One that was not read may have data that are larger than its record."""
    return len(event.raw) if was_read(event) and event.raw else len(json_codec.encode(data))
