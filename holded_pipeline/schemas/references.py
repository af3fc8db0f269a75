"""Schemas in memory, by subject, and which of them each reference refers to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import attrs

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.near_names import listed, near_names
from holded_pipeline.model.values import SchemaRef
from holded_pipeline.schemas.referenced_subjects import ReferencedSubjects
from holded_pipeline.schemas.schema_errors import naming_schema, unusable_schema
from holded_pipeline.schemas.schema_rules import SchemaRules
from holded_pipeline.schemas.schema_source import ResolvedSchema, SchemaSource
from holded_pipeline.schemas.shared_ids import require_own_uris
from holded_pipeline.schemas.uris import BASE, references_in, rewrite_references, stated_id, uri_of

_MOST_COMPARED = 100  # unknown subjects


@attrs.frozen
class LocalSchemas:
    """Schemas by subject, from a mapping or from files. Pickled with its contents.

    Attributes:
        documents: the schemas by subject.
        paths: for schemas from files, the path of each subject's file, `/` between its levels.
        rules: how the schemas are read.
        aliases: further names of subjects.
    """

    documents: Mapping[str, Any]
    paths: Mapping[str, str] = attrs.field(factory=dict)
    rules: SchemaRules = attrs.field(factory=SchemaRules)
    aliases: Mapping[str, str] = attrs.field(factory=dict)

    def prepare(self) -> SchemaSource:
        """Itself.

        Raises:
            ConfigurationError: two different schemas have one `$id`, or an `$id` is not a URI.
        """
        require_own_uris(self._uris, self)
        return self

    def open(self) -> LocalResolver:
        """A resolver that caches what it resolved."""
        self.prepare()
        return LocalResolver(self)

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        r"""The schema of a subject. The PHP class name `Sales\Order` also finds the subject `Sales/Order`.

        Raises:
            RejectRecord: there is none (`unknown_subject`), or not of that version (`unknown_version`).
            ConfigurationError: it refers to a file outside the directory, or to a URI that two schemas have.
        """
        plain = subject.removeprefix("iglu:")
        names = (subject, subject.replace("\\", "/"), plain, self.aliases.get(plain, subject))
        known = next((name for name in names if name in self.documents), None)
        if known is None:
            raise RejectRecord("unknown_subject", f"there is no schema for the subject {subject!r}; add one")
        if version not in (None, 1):
            raise RejectRecord(
                "unknown_version",
                f"the schema of {subject!r} is from a file or a mapping and has version 1 alone, not {version}",
            )
        ref = SchemaRef(known)
        with naming_schema(ref):
            return ResolvedSchema(ref, self.uri_of_subject(known), self._documents_by_uri(known), self.rules)

    def uri_of_subject(self, subject: str) -> str:
        """The URI of a known subject's schema: its `$id`, or one made from its path or subject.

        Raises:
            ConfigurationError: its `$id` is not a URI.
        """
        return self._uris[subject]

    @functools.cached_property
    def _uris(self) -> dict[str, str]:
        uris: dict[str, str] = {}
        for subject, document in self.documents.items():
            with naming_schema(SchemaRef(subject)):
                uris[subject] = uri_of(document, BASE + quote(self.name_of(subject)))
        stated = {uri for subject, uri in uris.items() if stated_id(self.documents[subject]) is not None}
        for subject, uri in uris.items():
            if uri in stated and stated_id(self.documents[subject]) is None:
                uris[subject] = f"{uri}?path"  # another file states this file's path as its `$id`
        return uris

    def name_of(self, subject: str) -> str:
        """What messages call a subject: its file's path, or itself."""
        return self.paths.get(subject, subject)

    @functools.cached_property
    def _referenced(self) -> ReferencedSubjects:
        return ReferencedSubjects(self)

    def _documents_by_uri(self, root: str) -> dict[str, Any]:
        """The root's schema and every schema it refers to, by URI, with references rewritten to these URIs.

        For the root `sales/order` with {"$ref": "../common/money.json"}, where money has the `$id`
        https://ex.org/money:

            http://schemas.invalid/sales/order.json    {"$ref": "https://ex.org/money"}
            https://ex.org/money                       money
        """
        documents: dict[str, Any] = {}
        pending = [root]
        while pending:
            referrer = pending.pop()
            uri = self.uri_of_subject(referrer)
            if uri not in documents:
                documents[uri] = self._rewrite(referrer, uri)
                pending += self._subjects_referred_to_by(referrer, uri)
        return documents

    def _rewrite(self, referrer: str, uri: str) -> Any:
        def find_uri(written: str, target: str) -> str | None:
            subject = self._referenced.find(written, target, referrer)
            if subject is None:
                return None
            is_inside = target in self._referenced.own_uris(subject)
            return None if is_inside else self.uri_of_subject(subject)

        document = self.documents[referrer]
        if not isinstance(document, dict | bool):
            raise unusable_schema(
                SchemaRef(referrer), f"a schema is an object, true or false, not {type(document).__name__}"
            )
        return rewrite_references(document, uri, find_uri)

    def _subjects_referred_to_by(self, referrer: str, uri: str) -> list[str]:
        references = references_in(self.documents[referrer], uri)
        found = [self._referenced.find(written, target, referrer) for written, target in references]
        return [subject for subject in found if subject is not None]


class LocalResolver:
    """Resolves subjects of `LocalSchemas` and caches the results. One per worker."""

    def __init__(self, schemas: LocalSchemas) -> None:
        self._schemas = schemas
        self._resolved: dict[tuple[str, int | None], ResolvedSchema] = {}
        self._near_unknown: dict[str, str] = {}

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        """See `LocalSchemas.resolve`."""
        key = subject, version
        if key not in self._resolved:
            try:
                self._resolved[key] = self._schemas.resolve(subject, version)
            except RejectRecord as error:
                raise RejectRecord(error.reason, error.message + self._near(subject)) from None
        return self._resolved[key]

    def _near(self, subject: str) -> str:
        """The subjects that look like an unknown one, as the end of a message; of the first unknown ones alone."""
        if subject not in self._near_unknown:
            if len(self._near_unknown) == _MOST_COMPARED:  # types that a sender makes up must not take the time
                return ""
            near = near_names(subject, self._schemas.documents)
            self._near_unknown[subject] = f". There are subjects like it: {listed(near)}" if near else ""
        return self._near_unknown[subject]

    def close(self) -> None:
        """Does nothing: there is no connection."""
