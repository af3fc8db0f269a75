"""Schemas at hand, and which of them a reference means."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import attrs

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import SchemaRef
from holded_pipeline.schemas.compiled import ResolvedSchema, SchemaSource
from holded_pipeline.schemas.uris import BASE, references_in, uri_of, uris_in


@attrs.frozen
class LocalSchemas:
    """Schemas at hand, by the name of their subject. Travels to workers with its contents.

    Attributes:
        documents: the schemas by subject.
        paths: the path of each subject's file, `/` between its levels, where there are files.
    """

    documents: Mapping[str, Any]
    paths: Mapping[str, str] = attrs.field(factory=dict)

    def prepare(self) -> SchemaSource:
        """Itself."""
        return self

    def open(self) -> LocalResolver:
        """A resolver that remembers what it resolved."""
        return LocalResolver(self)

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        """The schema of a subject; a PHP class name also finds the file with `/` for its backslashes.

        Raises:
            RejectRecord: there is none (`unknown_subject`), or not of that version (`unknown_version`).
            ConfigurationError: it refers to a schema that is not there.
        """
        name = subject if subject in self.documents else subject.replace("\\", "/")
        if name not in self.documents:
            raise RejectRecord("unknown_subject", f"there is no schema for the subject {subject!r}; add one")
        if version not in (None, 1):
            raise RejectRecord(
                "unknown_version", f"the schema of {subject!r} stands in a file, which has one version, not {version}"
            )
        return ResolvedSchema(SchemaRef(name), self._uri(name), self._with_references(name))

    @functools.cached_property
    def _by_uri(self) -> dict[str, str]:
        """The document that a URI is in; one's own URI counts before that of a schema inside another."""
        inside = {uri: name for name in self.documents for uri in uris_in(self.documents[name], self._uri(name))}
        return inside | {self._uri(name): name for name in self.documents}

    def _uri(self, name: str) -> str:
        return uri_of(self.documents[name], BASE + quote(self.paths.get(name, name)))

    def _with_references(self, root: str) -> dict[str, Any]:
        found = {self._uri(root): self.documents[root]}
        pending = [root]
        while pending:
            holder = pending.pop()
            for written, target in references_in(self.documents[holder], self._uri(holder)):
                name = self._named(written, target, holder)
                if name is None or target in found:
                    continue
                if self._uri(name) not in found:
                    found[self._uri(name)] = self.documents[name]
                    pending.append(name)
                if target not in set(uris_in(self.documents[name], self._uri(name))):
                    found[target] = self.documents[name]  # a path, beside the `$id`
        return found

    def _named(self, written: str, target: str, holder: str) -> str | None:
        """The schema a reference means: by `$id` first, then by its path from the file it stands in."""
        if target in self._by_uri:
            return self._by_uri[target]
        if urlsplit(written).scheme:
            return None  # a URI that nobody here claims; the compiler says so if it is really needed
        at = self.paths.get(holder, holder)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(at), unquote(written).lstrip("/")))
        if path.startswith(".."):
            raise ConfigurationError(f"the schema {holder!r} refers to {written!r}, which is outside its directory")
        for name in self.documents:
            if path in (self.paths.get(name), name):
                return name
        return None


class LocalResolver:
    """Open local schemas, one per worker."""

    def __init__(self, schemas: LocalSchemas) -> None:
        self._schemas = schemas
        self._resolved: dict[tuple[str, int | None], ResolvedSchema] = {}

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        """See `LocalSchemas.resolve`."""
        key = subject, version
        if key not in self._resolved:
            self._resolved[key] = self._schemas.resolve(subject, version)
        return self._resolved[key]

    def close(self) -> None:
        """Nothing to do."""
