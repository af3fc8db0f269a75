"""Errors where two different schemas have one URI: a validator would silently use one of them for both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.schemas.uris import schemas_by_uri


class LocalDocuments(Protocol):
    """What is needed of `LocalSchemas`."""

    @property
    def documents(self) -> Mapping[str, Any]: ...  # noqa: D102  see LocalSchemas
    @property
    def paths(self) -> Mapping[str, str]: ...  # noqa: D102
    def name_of(self, subject: str) -> str: ...  # noqa: D102


def require_own_uris(uris: Mapping[str, str], schemas: LocalDocuments) -> None:
    """Returns if no two subjects have one URI.

    In a mapping, one schema may have several subjects. Two files are two schemas, even if they are equal today; a link
    to a file is the same one.

    Args:
        uris: by subject.
        schemas: the schemas.

    Raises:
        ConfigurationError: two have one; the message names both.
    """
    owners: dict[str, str] = {}
    for subject, uri in uris.items():
        owner = owners.setdefault(uri, subject)
        one, other = schemas.documents[owner], schemas.documents[subject]
        if one is not other and (schemas.paths or not are_equal(one, other)):
            raise ConfigurationError(
                f"{schemas.name_of(owner)} and {schemas.name_of(subject)} both have the $id {uri}; "
                "give each an $id of its own, or remove one"
            )


def require_one_schema_per_uri(documents: Mapping[str, Any], root: str) -> None:
    """Returns if no URI in these documents stands for two different schemas.

    Args:
        documents: those that are compiled together, by URI.
        root: the subject that refers to the others.

    Raises:
        ConfigurationError: a URI does.
    """
    seen: dict[str, tuple[str, Any]] = {}
    for document_uri, document in documents.items():
        for uri, schema in schemas_by_uri(document, document_uri):
            owner, known = seen.setdefault(uri, (document_uri, schema))
            if known is not schema and not are_equal(known, schema):
                raise ConfigurationError(
                    f"the schema {root!r} refers to {owner} and {document_uri}, which have different schemas with the "
                    f"$id {uri}; give each an $id of its own"
                )


def are_equal(one: Any, other: Any) -> bool:
    """Whether two schemas are equal as JSON, in which true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
