"""Schemas in memory, by subject, and which of them each reference refers to."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import attrs

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import SchemaRef
from holded_pipeline.schemas.schema_source import ResolvedSchema, SchemaSource
from holded_pipeline.schemas.uris import BASE, references_in, uri_of, uris_in


@attrs.frozen
class LocalSchemas:
    """Schemas by subject, from a mapping or from files. Pickled with its contents.

    Attributes:
        documents: the schemas by subject.
        paths: for schemas from files, the path of each subject's file, `/` between its levels.
    """

    documents: Mapping[str, Any]
    paths: Mapping[str, str] = attrs.field(factory=dict)

    def prepare(self) -> SchemaSource:
        """Itself."""
        return self

    def open(self) -> LocalResolver:
        """A resolver that caches what it resolved."""
        return LocalResolver(self)

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        r"""The schema of a subject. The PHP class name `Sales\Order` also finds the subject `Sales/Order`.

        Raises:
            RejectRecord: there is none (`unknown_subject`), or not of that version (`unknown_version`).
            ConfigurationError: it refers to a file outside the directory.
        """
        known = subject if subject in self.documents else subject.replace("\\", "/")
        if known not in self.documents:
            raise RejectRecord("unknown_subject", f"there is no schema for the subject {subject!r}; add one")
        if version not in (None, 1):
            raise RejectRecord(
                "unknown_version",
                f"the schema of {subject!r} is from a file or a mapping and has version 1 alone, not {version}",
            )
        return ResolvedSchema(SchemaRef(known), self.uri_of_subject(known), self._documents_by_uri(known))

    def uri_of_subject(self, subject: str) -> str:
        """The URI of a known subject's schema: its `$id`, or one made from its path or subject."""
        return uri_of(self.documents[subject], BASE + quote(self.paths.get(subject, subject)))

    def find_referenced(self, written: str, target: str, referrer: str) -> str | None:
        """The subject that a reference refers to: by `$id` first, then by path from the referrer's file.

        In the schema of `sales/order`, the reference `../common/money.json` refers to a schema whose `$id` is the
        `target` http://schemas.invalid/common/money.json. If there is none, to the subject whose file is
        `common/money.json`, or which itself is called `common/money.json`.

        Args:
            written: the reference as it is written, without a fragment.
            target: the same as an absolute URI.
            referrer: the subject of the schema that it is in.

        Returns:
            The subject; None if there is none, which is an error only if validation needs the reference.

        Raises:
            ConfigurationError: the path leads out of the directory.
        """
        if target in self._subjects_by_uri:
            return self._subjects_by_uri[target]
        if urlsplit(written).scheme:
            return None  # an absolute URI is never a path
        folder = posixpath.dirname(self.paths.get(referrer, referrer))
        path = posixpath.normpath(posixpath.join(folder, unquote(written).lstrip("/")))
        if path.startswith(".."):
            raise ConfigurationError(f"the schema {referrer!r} refers to {written!r}, which is outside its directory")
        return next((subject for subject in self.documents if path in (self.paths.get(subject), subject)), None)

    @functools.cached_property
    def _subjects_by_uri(self) -> dict[str, str]:
        """The subject whose document has a URI. If two have it, the one that is not just a part of a document."""
        subjects = self.documents
        inside = {uri: each for each in subjects for uri in uris_in(subjects[each], self.uri_of_subject(each))}
        return inside | {self.uri_of_subject(each): each for each in subjects}

    def _documents_by_uri(self, root: str) -> dict[str, Any]:
        """The root's schema and every schema it refers to, by URI.

        A schema with an `$id` that is referred to by its path is in the result twice, as the same object. For the root
        `sales/order` with {"$ref": "../common/money.json"}, where money has the `$id` https://ex.org/money:

            http://schemas.invalid/sales/order.json    order
            https://ex.org/money                       money
            http://schemas.invalid/common/money.json   money
        """
        documents = {self.uri_of_subject(root): self.documents[root]}
        pending = [root]
        while pending:
            referrer = pending.pop()
            for written, target in references_in(self.documents[referrer], self.uri_of_subject(referrer)):
                subject = self.find_referenced(written, target, referrer)
                if subject is None or target in documents:
                    continue
                document, uri = self.documents[subject], self.uri_of_subject(subject)
                if uri not in documents:
                    documents[uri] = document
                    pending.append(subject)
                if target not in set(uris_in(document, uri)):
                    documents[target] = document
        return documents


class LocalResolver:
    """Resolves subjects of `LocalSchemas` and caches the results. One per worker."""

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
        """Does nothing: there is no connection."""
