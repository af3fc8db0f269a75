"""The URIs of JSON Schemas, the references between them, and copies of schemas with both rewritten."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urldefrag, urljoin, urlsplit

import attrs

from holded_pipeline.schemas.schema_rules import SchemaRules

BASE = "http://schemas.invalid/"
"""What the URIs of schemas without an `$id` begin with. No server can ever have this name (RFC 2606)."""

_REFERENCE_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")
_URI_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"
_SCHEMAS_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
_PLAIN_VALUES = {"const", "enum", "examples", "default"}  # what is in them is never a schema, even if it looks like one


@attrs.frozen
class _Reference:
    """A reference in a schema.

    For {"$ref": "../money.json#/$defs/cents"} within http://schemas.invalid/sales/order.json:

        written   ../money.json#/$defs/cents
        base      http://schemas.invalid/sales/order.json
        uri       http://schemas.invalid/money.json
        fragment  /$defs/cents
    """

    schema: dict[str, Any]
    keyword: str
    written: str
    base: str
    uri: str
    fragment: str

    @property
    def name(self) -> str:
        """The reference as it is written, without its fragment."""
        return urldefrag(self.written).url


def uri_of(document: Any, default: str) -> str:
    """The absolute URI of a schema: its `$id` (`id` in draft 4) joined to the default, or the default."""
    keyword = _id_keyword(document)
    return absolute_uri(default, document[keyword])[0] if keyword else default


def stated_id(document: Any) -> str | None:
    """The `$id` of a schema as it is written, without a fragment; None if it states none."""
    keyword = _id_keyword(document)
    return document[keyword].partition("#")[0] if keyword else None


def absolute_uri(base: str, written: str) -> tuple[str, str]:
    """A reference as an absolute URI and its fragment, percent-encoded.

    `../dirección.json#/$defs/x` from `http://schemas.invalid/sales/order.json` is
    `("http://schemas.invalid/direcci%C3%B3n.json", "/$defs/x")`.

    Raises:
        ValueError: it is not a URI, such as `http://[::1`.
    """
    try:
        uri, fragment = urldefrag(urljoin(base, percent_encode(written)))
    except ValueError as error:
        raise ValueError(f"{written!r} is not a valid URI ({error}); correct the $id or $ref") from error
    return uri, fragment


def percent_encode(written: str) -> str:
    """The text with letters outside ASCII, spaces and backslashes escaped; what is escaped already stays so."""
    return quote(written, safe=_URI_CHARACTERS)


def references_in(document: Any, uri: str) -> Iterator[tuple[str, str]]:
    """Every reference to another URI: as it is written and as an absolute URI, both without a fragment."""
    for reference in _references(document, uri):
        if reference.uri != reference.base:
            yield reference.name, reference.uri


def uris_in(document: Any, uri: str) -> Iterator[str]:
    """The URIs under which a document and the schemas inside it can be referred to."""
    yield from (base for base, _ in schemas_by_uri(document, uri))


def schemas_by_uri(document: Any, uri: str) -> Iterator[tuple[str, Any]]:
    """The same, each with the schema that has it, the document first."""
    yield uri, document
    for schema, base in subschemas(document, uri):
        if schema is not document and _id_keyword(schema):
            yield base, schema


def rewrite_references(document: Any, uri: str, find_uri: Callable[[str, str], str | None]) -> Any:
    """A copy of a schema whose references to others are the URIs that `find_uri` returns, and whose `$id` is `uri`.

    With `find_uri` returning `http://schemas.invalid/euros`, {"$ref": "money#/$defs/cents"} becomes
    {"$ref": "http://schemas.invalid/euros#/$defs/cents"}. A schema without an `$id` does not get one.

    Args:
        document: the schema.
        uri: its absolute URI.
        find_uri: called with a reference as it is written and as an absolute URI, both without a fragment. Returns
            the URI of the schema it refers to, or None to leave the reference as it is.
    """
    copied = copy.deepcopy(document)
    for reference in _references(copied, uri):
        if reference.uri != reference.base:
            found = find_uri(reference.name, reference.uri)
            if found:
                reference.schema[reference.keyword] = _with_fragment(found, reference.fragment)
    keyword = _id_keyword(copied)
    if keyword:
        copied[keyword] = uri
    return copied


def one_uri_per_document(documents: Mapping[str, Any]) -> dict[str, Any]:
    """Copies of the documents, each under one URI, with every `$id` and reference absolute and using these URIs.

    Given one object `money` under two URIs, and `order` that refers to both of them:

        https://ex.org/money               {"$id": "https://ex.org/money"}
        http://schemas.invalid/money.json  the same object
        http://schemas.invalid/order.json  {"anyOf": [{"$ref": "money.json"}, {"$ref": "https://ex.org/money"}]}

    the result has `money` under its `$id` alone, and `order` with that URI in both references. Without this the Rust
    validator sometimes panics over the anchors of a document that has several URIs.

    Args:
        documents: by URI. A document under several URIs is the same object under each. It keeps its absolute `$id`, or
            else the first of these URIs.
    """
    kept = kept_uris(documents)
    copies = {kept[uri]: copy.deepcopy(document) for uri, document in documents.items()}
    for uri, document in copies.items():
        for reference in _references(document, uri):
            target = kept.get(reference.uri, reference.uri)
            is_kept = target == reference.uri
            reference.schema[reference.keyword] = (
                percent_encode(reference.written) if is_kept else _with_fragment(target, reference.fragment)
            )
        for schema, base in list(subschemas(document, uri)):
            keyword = _id_keyword(schema)
            if keyword:
                schema[keyword] = _with_fragment(base, urldefrag(schema[keyword]).fragment)
    return copies


def kept_uris(documents: Mapping[str, Any]) -> dict[str, str]:
    """For each URI, the one that `one_uri_per_document` has its document under."""
    first: dict[int, str] = {}
    return {uri: first.setdefault(id(document), _kept_uri(document, uri)) for uri, document in documents.items()}


def _kept_uri(document: Any, uri: str) -> str:
    """The absolute `$id`, or else `uri`. A relative `$id` is part of `uri` already and must not be joined again."""
    stated = uri_of(document, "")
    return stated if urlsplit(stated).scheme else uri


def _with_fragment(uri: str, fragment: str) -> str:
    return f"{uri}#{fragment}" if fragment else uri


def _id_keyword(schema: Any) -> str | None:
    """The keyword by which a schema states its URI, `$id` or `id`; None if it states none.

    `id` means nothing in a schema that says it is of a later draft than 4.
    """
    if isinstance(schema, dict):
        declared = schema.get("$schema")
        is_later = isinstance(declared, str) and SchemaRules().draft_of(declared) not in (None, "4")
        for keyword in ("$id",) if is_later else ("$id", "id"):
            stated = schema.get(keyword)
            if isinstance(stated, str) and stated.partition("#")[0]:
                return keyword
    return None


def _references(document: Any, uri: str) -> Iterator[_Reference]:
    """Every reference in a document, which may be rewritten meanwhile. `uri` is the document's."""
    for schema, base in list(subschemas(document, uri)):
        for keyword in _REFERENCE_KEYWORDS:
            written = schema.get(keyword)
            if isinstance(written, str):
                yield _Reference(schema, keyword, written, base, *absolute_uri(base, written))


def subschemas(document: Any, uri: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every schema in a document that is an object, with the URI its references start from. `uri` is the document's.

    {"properties": {"$ref": {"$id": "inner.json", "items": {}}}} within http://schemas.invalid/a.json yields

        {"properties": …}                http://schemas.invalid/a.json
        {"$id": "inner.json", …}         http://schemas.invalid/inner.json    (here `$ref` is the name of a property)
        {}                               http://schemas.invalid/inner.json
    """
    pending = [(document, uri, False)]
    while pending:
        current, base, is_by_name = pending.pop()
        if isinstance(current, list):
            pending.extend((member, base, False) for member in current)
        elif isinstance(current, dict) and is_by_name:
            pending.extend((member, base, False) for member in current.values())
        elif isinstance(current, dict):
            base = uri if current is document else uri_of(current, base)
            yield current, base
            pending.extend(
                (member, base, keyword in _SCHEMAS_BY_NAME)
                for keyword, member in current.items()
                if keyword not in _PLAIN_VALUES
            )
