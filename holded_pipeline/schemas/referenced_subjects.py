"""Which local schema a reference refers to."""

from __future__ import annotations

import functools
import posixpath
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import SchemaRef
from holded_pipeline.schemas.schema_errors import naming_schema
from holded_pipeline.schemas.shared_ids import are_equal
from holded_pipeline.schemas.uris import schemas_by_uri, stated_id, uris_in


class NamedSchemas(Protocol):
    """What is needed of `LocalSchemas`."""

    @property
    def documents(self) -> Mapping[str, Any]: ...  # noqa: D102  see LocalSchemas
    @property
    def paths(self) -> Mapping[str, str]: ...  # noqa: D102
    def uri_of_subject(self, subject: str) -> str: ...  # noqa: D102
    def name_of(self, subject: str) -> str: ...  # noqa: D102


class ReferencedSubjects:
    """Finds the subjects that references refer to."""

    def __init__(self, schemas: NamedSchemas) -> None:
        self._schemas = schemas
        self._own_uris: dict[str, set[str]] = {}

    def find(self, written: str, target: str, referrer: str) -> str | None:
        """The subject that a reference refers to; None if there is none.

        It is looked up, in this order, as
        1. a URI in the schema itself,
        2. an `$id` that is written as the reference is,
        3. an `$id`, and then a path, relative to the schema with the reference,
        4. a path from the top of the directory.

        In the file `order/created.json` without an `$id`, "common/money.json" refers to the first of these that exists:
        any file with the `$id` "common/money.json"; one whose absolute `$id` is
        http://schemas.invalid/order/common/money.json; the file `order/common/money.json`; `common/money.json`. Where
        several have the `$id` as it is written, the later rules choose among them.

        Args:
            written: the reference as it is written, without a fragment.
            target: the same as an absolute URI.
            referrer: the subject of the schema that it is in.

        Raises:
            ConfigurationError: the path leads out of the directory, or several schemas have the `$id`.
        """
        if target in self.own_uris(referrer):
            return referrer
        same_id = self._subjects_by_stated_id.get(unquote(written), [])
        if len(same_id) == 1:
            return same_id[0]
        found = self._subjects_by_uri.get(target) or self._with_inner_uri(target, referrer)
        path = written.removeprefix("iglu:")
        if found is None and not urlsplit(path).scheme:  # any other absolute URI is never a path
            found = self._at_path(path, referrer)
        if same_id and found not in same_id:
            raise self._ambiguous(written, referrer, same_id)
        return found

    def _at_path(self, written: str, referrer: str) -> str | None:
        folder = posixpath.dirname(self._schemas.name_of(referrer))
        unquoted = unquote(written).lstrip("/")
        relative = posixpath.normpath(posixpath.join(folder, unquoted))
        if relative == ".." or relative.startswith("../"):
            raise ConfigurationError(f"the schema {referrer!r} refers to {written!r}, which is outside its directory")
        return self._subjects_by_path.get(relative) or self._subjects_by_path.get(posixpath.normpath(unquoted))

    def _with_inner_uri(self, target: str, referrer: str) -> str | None:
        found = self._inner_schemas.get(target, [])
        if any(not are_equal(found[0][1], schema) for _, schema in found[1:]):
            raise self._ambiguous(target, referrer, [subject for subject, _ in found])
        return found[0][0] if found else None

    def _ambiguous(self, uri: str, referrer: str, subjects: list[str]) -> ConfigurationError:
        names = " and ".join(self._schemas.name_of(subject) for subject in subjects)
        return ConfigurationError(
            f"the schema {referrer!r} refers to {uri!r}, which is the $id of different schemas in {names}; "
            "give each an $id of its own"
        )

    def own_uris(self, subject: str) -> set[str]:
        """The URIs of a subject's schema and of those inside it."""
        if subject not in self._own_uris:
            document, uri = self._schemas.documents[subject], self._schemas.uri_of_subject(subject)
            self._own_uris[subject] = set(uris_in(document, uri))
        return self._own_uris[subject]

    @functools.cached_property
    def _subjects_by_uri(self) -> dict[str, str]:
        return {self._schemas.uri_of_subject(each): each for each in self._schemas.documents}

    @functools.cached_property
    def _inner_schemas(self) -> Mapping[str, list[tuple[str, Any]]]:
        """The schemas inside documents that have an `$id`, by URI, each with its subject."""
        found: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        for subject, document in self._schemas.documents.items():
            with naming_schema(SchemaRef(subject)):
                for uri, schema in schemas_by_uri(document, self._schemas.uri_of_subject(subject)):
                    if schema is not document:
                        found[uri].append((subject, schema))
        return found

    @functools.cached_property
    def _subjects_by_stated_id(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for subject, document in self._schemas.documents.items():
            stated = stated_id(document)
            if stated is not None and not any(self._schemas.documents[each] is document for each in found[stated]):
                found[unquote(stated)].append(subject)
        return dict(found)

    @functools.cached_property
    def _subjects_by_path(self) -> dict[str, str]:
        """By the file's path, and by the subject itself: a reference may omit the ending."""
        documents = self._schemas.documents
        return {each: each for each in documents} | {self._schemas.name_of(each): each for each in documents}
