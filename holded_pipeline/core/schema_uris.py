"""The URIs of schemas: what they are called, and what their references point at."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urldefrag, urljoin

BASE = "http://schemas.invalid/"
"""Where schemas without an `$id` are taken to live (RFC 2606: nothing can ever be there)."""

_REFERRING = ("$ref", "$dynamicRef", "$recursiveRef")
_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
_LITERAL = {"const", "enum", "examples", "default"}  # what stands in them are values, whatever they look like


def uri_of(document: Any, otherwise: str) -> str:
    """The absolute URI of a schema: its `$id` (`id` in draft 4), or the one it is given."""
    if isinstance(document, dict):
        for keyword in ("$id", "id"):
            own = document.get(keyword)
            if isinstance(own, str) and urldefrag(own).url:
                return urldefrag(urljoin(otherwise, own)).url
    return otherwise


def references_in(document: Any, uri: str) -> Iterator[tuple[str, str]]:
    """Every reference that leaves its place: as it is written, and as an absolute URI without its fragment."""
    for schema, base in _schemas_in(document, uri):
        for keyword in _REFERRING:
            written = schema.get(keyword)
            if isinstance(written, str) and (target := urldefrag(urljoin(base, written)).url) != base:
                yield urldefrag(written).url, target


def uris_in(document: Any, uri: str) -> Iterator[str]:
    """The URIs under which a document and the schemas inside it can be referred to."""
    yield uri
    yield from (base for schema, base in _schemas_in(document, uri) if "$id" in schema or "id" in schema)


def one_uri_each(documents: Mapping[str, Any]) -> dict[str, Any]:
    """The same documents, each under its own URI alone, and every reference to another name of it rewritten.

    A document that is known by several names at once makes the Rust validator panic over its anchors, now and then.

    Args:
        documents: by URI; one document under several URIs is the same object, and the first of them the one it keeps
            where it does not name itself.
    """
    own: dict[int, str] = {}
    aliases = {uri: own.setdefault(id(document), uri_of(document, uri)) for uri, document in documents.items()}
    single = {aliases[uri]: copy.deepcopy(document) for uri, document in documents.items()}
    for uri, document in single.items():
        for schema, base in _schemas_in(document, uri):
            for keyword in _REFERRING:
                written = schema.get(keyword)
                if isinstance(written, str):
                    target, fragment = urldefrag(urljoin(base, written))
                    if aliases.get(target, target) != target:
                        schema[keyword] = f"{aliases[target]}#{fragment}" if fragment else aliases[target]
    return single


def _schemas_in(document: Any, uri: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every schema in a document that is an object, with the URI its references start from."""
    pending = [(document, uri, False)]
    while pending:
        current, base, by_name = pending.pop()
        if isinstance(current, list):
            pending.extend((member, base, False) for member in current)
        elif isinstance(current, dict) and by_name:
            pending.extend((member, base, False) for member in current.values())
        elif isinstance(current, dict):
            base = uri_of(current, base)
            yield current, base
            pending.extend(
                (member, base, keyword in _BY_NAME) for keyword, member in current.items() if keyword not in _LITERAL
            )
