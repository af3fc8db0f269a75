"""Schemas of a registry, and which schema each of their references refers to."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urldefrag

import attrs

from holded_pipeline.schemas.uris import BASE, absolute_uri, rewrite_references, uri_of, uris_in


@attrs.frozen(eq=False)
class RegisteredSchema:
    """One version of a subject, with the schemas it was registered to refer to.

    Attributes:
        subject: its subject.
        version: the version as it was requested.
        document: the schema.
        references: the other schemas by name. The name is what a `$ref` contains, with or without a fragment.
    """

    subject: str
    version: str
    document: Any
    references: Mapping[str, RegisteredSchema]

    @property
    def key(self) -> tuple[str, str]:
        """Subject and version. Two schemas with the same key are the same schema."""
        return self.subject, self.version


def documents_by_uri(root: RegisteredSchema) -> dict[str, Any]:
    """The root, first, and every schema it refers to, by absolute URI, with references rewritten to these URIs.

    In a registry a reference is a name, and each schema is registered with names of its own. So one name may stand
    for different schemas, here `money`. Validators only know URIs:

        subject  schema                                           registered with the references
        order    {"items": {"$ref": "line"}, "$ref": "money"}     line -> line, version 1; money -> euros, version 1
        line     {"$ref": "money"}                                money -> dollars, version 1
        euros    {"type": "number"}
        dollars  {"type": "integer"}

    becomes, with the subject `order` as the root:

        http://schemas.invalid/order                {"items": {"$ref": "http://schemas.invalid/line"},
                                                     "$ref": "http://schemas.invalid/money"}
        http://schemas.invalid/line                 {"$ref": "http://schemas.invalid/dollars/versions/1"}
        http://schemas.invalid/money                {"type": "number"}
        http://schemas.invalid/dollars/versions/1   {"type": "integer"}
    """
    return _ReferenceRewriter(root).documents()


class _ReferenceRewriter:
    """Gives each schema below a root a URI, then rewrites the references to these URIs."""

    def __init__(self, root: RegisteredSchema) -> None:
        self._uris: dict[tuple[str, str], str] = {}  # by the schema's key
        self._schemas: dict[str, RegisteredSchema] = {}  # by URI
        # Each schema, then the one that refers to it, and so on to the root: (dollars, line, order).
        self._chains: list[tuple[RegisteredSchema, ...]] = [(root,)]
        self._assign_uri(root, BASE + quote(root.subject, safe=""))
        # Breadth first: of two schemas with a claim to one URI, the one nearer to the root gets it.
        for chain in self._chains:
            referrer = chain[0]
            for name, referred in referrer.references.items():
                if referred.key not in self._uris:
                    self._assign_uri(referred, absolute_uri(self._uris[referrer.key], name)[0])
                    self._chains.append((referred, *chain))

    def documents(self) -> dict[str, Any]:
        """The rewritten schemas by URI, the root first."""
        return {self._uris[chain[0].key]: self._rewrite(*chain) for chain in self._chains}

    def _assign_uri(self, schema: RegisteredSchema, default: str) -> None:
        """Gives a schema its `$id` or the default as its URI, or one with subject and version if that is taken."""
        uri = absolute_uri(BASE, uri_of(schema.document, default))[0]
        if uri in self._schemas and not _are_same(self._schemas[uri], schema):
            uri = f"{BASE}{quote(schema.subject, safe='')}/versions/{quote(schema.version, safe='')}"
        self._schemas[uri] = schema
        self._uris[schema.key] = uri

    def _rewrite(self, schema: RegisteredSchema, *referrers: RegisteredSchema) -> Any:
        """The schema's document with its references rewritten.

        A reference is looked up, in this order, as
        1. a part of the schema itself (left as it is) or the `$id` it states,
        2. a name that the schema was registered with,
        3. a name that one of its referrers was registered with, the nearest first; unless it is a URI of a schema here.
        """
        uri = self._uris[schema.key]
        own_uris, stated_uri = set(uris_in(schema.document, uri)), uri_of(schema.document, "")
        own_names = self._uris_by_name(schema)
        inherited_names = [self._uris_by_name(referrer) for referrer in referrers]

        def find_uri(written: str, target: str) -> str | None:
            if target in own_uris:
                return None
            if target == stated_uri:
                return uri
            scopes = [own_names] if target in self._all_uris else [own_names, *inherited_names]
            return next((uris[name] for uris in scopes for name in (target, unquote(written)) if name in uris), None)

        return rewrite_references(schema.document, uri, find_uri)

    @functools.cached_property
    def _all_uris(self) -> set[str]:
        """The URIs of all schemas, and of those inside them."""
        return {inner for uri, schema in self._schemas.items() for inner in uris_in(schema.document, uri)}

    def _uris_by_name(self, schema: RegisteredSchema) -> dict[str, str]:
        """The URIs of the schemas it was registered to refer to, by name: as it is written, and as an absolute URI.

        For the schema `line` above that is

            {"http://schemas.invalid/money": "http://schemas.invalid/dollars/versions/1",
             "money": "http://schemas.invalid/dollars/versions/1"}
        """
        uris: dict[str, str] = {}
        for written, referred in schema.references.items():
            for name in (absolute_uri(self._uris[schema.key], written)[0], unquote(urldefrag(written).url)):
                uris.setdefault(name, self._uris[referred.key])
        return uris


def _are_same(one: RegisteredSchema, other: RegisteredSchema) -> bool:
    """Whether two are one schema that was registered under two subjects."""
    keys = [{name: referred.key for name, referred in each.references.items()} for each in (one, other)]
    return keys[0] == keys[1] and json.dumps(one.document) == json.dumps(other.document)
