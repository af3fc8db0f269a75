"""What `ValidateSchema` needs from a source of schemas. `SchemaDirectory` and `SchemaRegistry` are such sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from holded_pipeline.model.values import SchemaRef
from holded_pipeline.schemas.schema_rules import SchemaRules


@attrs.frozen
class ResolvedSchema:
    """A schema with everything it refers to.

    Attributes:
        ref: its subject, version and id.
        uri: the absolute URI that its relative references start from.
        documents: the schema itself, under `uri`, and all schemas that it may refer to, under absolute URIs.
        rules: how they are read.
    """

    ref: SchemaRef
    uri: str
    documents: Mapping[str, Any]
    rules: SchemaRules = attrs.field(factory=SchemaRules)

    @property
    def document(self) -> Any:
        """The schema itself."""
        return self.documents[self.uri]


class SchemaResolver(Protocol):
    """An open source of schemas, one per worker."""

    def resolve(self, subject: str, version: int | None) -> ResolvedSchema:
        """The schema of a subject; `version` None means the latest.

        Raises:
            RejectRecord: there is no such subject (`unknown_subject`) or version (`unknown_version`).
            ConfigurationError: the source is set up wrongly.
            TransientError: the source did not answer; never a reason to reject an event.
        """
        ...

    def close(self) -> None:
        """Closes connections."""
        ...


class SchemaSource(Protocol):
    """Where schemas come from: `SchemaDirectory`, `SchemaRegistry`, `SchemaMapping`, or a class of your own.

    Example:
        >>> class TenantSchemas:
        ...     def __init__(self, tenant):
        ...         self.tenant = tenant
        ...
        ...     def prepare(self):
        ...         return hp.SchemaDirectory(f"schemas/{self.tenant}").prepare()
        ...
        ...     def open(self):
        ...         return self.prepare().open()
        >>> validate = hp.ValidateSchema(TenantSchemas("acme"), subject="{type}")
    """

    def prepare(self) -> SchemaSource:
        """The source that is pickled for the workers. Called once, when the transform is applied."""
        ...

    def open(self) -> SchemaResolver:
        """A resolver. Called once per worker."""
        ...
