"""The URIs of schemas: what they are called, and what their references point at."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urldefrag, urljoin, urlsplit

BASE = "http://schemas.invalid/"
"""Where schemas without an `$id` are taken to live (RFC 2606: nothing can ever be there)."""

_REFERRING = ("$ref", "$dynamicRef", "$recursiveRef")
_ALLOWED = "%/:?#[]@!$&'()*+,;=~"
_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
_LITERAL = {"const", "enum", "examples", "default"}  # what stands in them are values, whatever they look like


def uri_of(document: Any, otherwise: str) -> str:
    """The absolute URI of a schema: its `$id` (`id` in draft 4), or the one it is given."""
    keyword = _naming(document)
    return absolute(otherwise, document[keyword])[0] if keyword else otherwise


def absolute(base: str, written: str) -> tuple[str, str]:
    """A reference as an absolute URI and its fragment, whatever letters it is written with."""
    url, fragment = urldefrag(urljoin(base, percent_encoded(written)))
    return url, fragment


def percent_encoded(written: str) -> str:
    """What may stand in a URI: other letters, spaces and backslashes escaped; what is escaped already stays so."""
    return quote(written, safe=_ALLOWED)


def references_in(document: Any, uri: str) -> Iterator[tuple[str, str]]:
    """Every reference that leaves its place: as it is written, and as an absolute URI without its fragment."""
    for schema, base in _schemas_in(document, uri):
        for keyword in _REFERRING:
            written = schema.get(keyword)
            if isinstance(written, str) and (target := absolute(base, written)[0]) != base:
                yield urldefrag(written).url, target


def uris_in(document: Any, uri: str) -> Iterator[str]:
    """The URIs under which a document and the schemas inside it can be referred to."""
    yield uri
    yield from (base for schema, base in _schemas_in(document, uri) if "$id" in schema or "id" in schema)


def referring_to(document: Any, uri: str, meant: Callable[[str, str], str | None]) -> Any:
    """A copy of a schema that says its URI, with each reference to another rewritten to the one it means.

    Args:
        document: the schema.
        uri: its absolute URI.
        meant: of a reference as it is written, and as an absolute URI, the URI of what it means; None leaves it.
    """
    copied = copy.deepcopy(document)
    for schema, base in list(_schemas_in(copied, uri)):
        for keyword in _REFERRING:
            written = schema.get(keyword)
            if isinstance(written, str):
                target, fragment = absolute(base, written)
                known = None if target == base else meant(urldefrag(written).url, target)
                if known:
                    schema[keyword] = f"{known}#{fragment}" if fragment else known
    naming = _naming(copied)
    if naming:
        copied[naming] = uri
    return copied


def one_uri_each(documents: Mapping[str, Any]) -> dict[str, Any]:
    """The same documents, each under its own URI alone, said in full, and every reference to another name rewritten.

    A document that is known by several names at once makes the Rust validator panic over its anchors, now and then.

    Args:
        documents: by URI; one document under several URIs is the same object, and the first of them the one it keeps
            where it does not name itself in full.
    """
    own: dict[int, str] = {}
    aliases = {uri: own.setdefault(id(document), _own(document, uri)) for uri, document in documents.items()}
    single = {aliases[uri]: copy.deepcopy(document) for uri, document in documents.items()}
    for uri, document in single.items():
        for schema, base in list(_schemas_in(document, uri)):
            _say_in_full(schema, base, aliases)
    return single


def _own(document: Any, uri: str) -> str:
    """A relative `$id` is in the URI already: joined once more, `sales/order` would be in `sales/sales/`."""
    stated = uri_of(document, "")
    return stated if urlsplit(stated).scheme else uri


def _say_in_full(schema: dict[str, Any], base: str, aliases: Mapping[str, str]) -> None:
    naming = _naming(schema)
    if naming:
        fragment = urldefrag(schema[naming]).fragment
        schema[naming] = f"{base}#{fragment}" if fragment else base
    for keyword in _REFERRING:
        written = schema.get(keyword)
        if isinstance(written, str):
            target, fragment = absolute(base, written)
            known = aliases.get(target, target)
            full = f"{known}#{fragment}" if fragment else known
            schema[keyword] = percent_encoded(written) if known == target else full


def _naming(schema: Any) -> str | None:
    """The keyword by which a schema says its URI, if it does."""
    if isinstance(schema, dict):
        for keyword in ("$id", "id"):
            stated = schema.get(keyword)
            if isinstance(stated, str) and urldefrag(stated).url:
                return keyword
    return None


def _schemas_in(document: Any, uri: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every schema in a document that is an object, with the URI its references start from; `uri` is the whole's."""
    pending = [(document, uri, False)]
    while pending:
        current, base, by_name = pending.pop()
        if isinstance(current, list):
            pending.extend((member, base, False) for member in current)
        elif isinstance(current, dict) and by_name:
            pending.extend((member, base, False) for member in current.values())
        elif isinstance(current, dict):
            base = uri if current is document else uri_of(current, base)
            yield current, base
            pending.extend(
                (member, base, keyword in _BY_NAME) for keyword, member in current.items() if keyword not in _LITERAL
            )
