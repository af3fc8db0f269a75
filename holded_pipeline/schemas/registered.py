"""Schemas of a registry, and which of them a reference means: by the names that each was registered with."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urldefrag

import attrs

from holded_pipeline.schemas.uris import BASE, absolute, referring_to, uri_of, uris_in


@attrs.frozen(eq=False)
class RegisteredSchema:
    """One version of a subject, with those it was registered to refer to.

    Attributes:
        subject: its subject.
        version: as it is asked for.
        document: the schema.
        references: the others by their names, which are what stands in a `$ref`, with or without a fragment.
    """

    subject: str
    version: str
    document: Any
    references: Mapping[str, RegisteredSchema]

    @property
    def key(self) -> tuple[str, str]:
        """Two with the same are the same."""
        return self.subject, self.version


def documents_of(root: RegisteredSchema) -> dict[str, Any]:
    """A schema, first, and all it refers to, by absolute URI; each reference says the URI of the one it means.

    A name belongs to the schema that was registered with it: it comes before a name of those that refer to it, and two
    schemas may use one name for different others.
    """
    return _Documents(root).by_uri()


class _Documents:
    def __init__(self, root: RegisteredSchema) -> None:
        self._uris: dict[tuple[str, str], str] = {}
        self._taken: dict[str, RegisteredSchema] = {}
        self._lineages: list[tuple[RegisteredSchema, ...]] = []
        self._place(root, BASE + quote(root.subject, safe=""))
        pending: list[tuple[RegisteredSchema, ...]] = [(root,)]
        for lineage in pending:  # those nearest to the root first: theirs are the URIs that two could have
            self._lineages.append(lineage)
            for name, referred in lineage[0].references.items():
                if referred.key not in self._uris:
                    self._place(referred, absolute(self._uris[lineage[0].key], name)[0])
                    pending.append((referred, *lineage))

    def by_uri(self) -> dict[str, Any]:
        return {self._uris[lineage[0].key]: self._referring(lineage) for lineage in self._lineages}

    def _place(self, schema: RegisteredSchema, otherwise: str) -> None:
        uri = absolute(BASE, uri_of(schema.document, otherwise))[0]
        if uri in self._taken and not _alike(self._taken[uri], schema):
            uri = f"{BASE}{quote(schema.subject, safe='')}/versions/{quote(schema.version, safe='')}"
        self._taken[uri] = schema
        self._uris[schema.key] = uri

    def _referring(self, lineage: tuple[RegisteredSchema, ...]) -> Any:
        schema, *referrers = lineage
        uri = self._uris[schema.key]
        inside, stated = set(uris_in(schema.document, uri)), uri_of(schema.document, "")
        own, inherited = self._names(schema), [self._names(referrer) for referrer in referrers]

        def meant(written: str, target: str) -> str | None:
            if target in inside:
                return None
            if target == stated:
                return uri
            for names in (own, *([] if target in self._known else inherited)):
                found = names.get(target) or names.get(unquote(written))
                if found:
                    return found
            return None

        return referring_to(schema.document, uri, meant)

    @functools.cached_property
    def _known(self) -> set[str]:
        return {inner for uri, schema in self._taken.items() for inner in uris_in(schema.document, uri)}

    def _names(self, schema: RegisteredSchema) -> dict[str, str]:
        """What the schema calls the others: the names as they are written, and as seen from its own URI."""
        names: dict[str, str] = {}
        for name, referred in schema.references.items():
            for called in (absolute(self._uris[schema.key], name)[0], unquote(urldefrag(name).url)):
                names.setdefault(called, self._uris[referred.key])
        return names


def _alike(one: RegisteredSchema, other: RegisteredSchema) -> bool:
    """One schema that was registered twice."""
    names = [{name: referred.key for name, referred in each.references.items()} for each in (one, other)]
    return names[0] == names[1] and json.dumps(one.document) == json.dumps(other.document)
