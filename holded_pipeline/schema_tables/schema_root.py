"""The schema of a table, compiled, as what columns are found in."""

from __future__ import annotations

import referencing.jsonschema

from holded_pipeline.schema_tables.schema_parts import Located, PartReader
from holded_pipeline.schemas.compiled_schema import CompiledSchema
from holded_pipeline.schemas.schema_errors import unusable_schema
from holded_pipeline.schemas.schema_rules import METASCHEMAS
from holded_pipeline.schemas.schema_source import ResolvedSchema

_REF_STANDS_ALONE = ("4", "6", "7")


def schema_root(resolved: ResolvedSchema) -> tuple[Located, PartReader]:
    """The schema with what resolves its references, and a reader of its draft.

    Raises:
        ConfigurationError: the schema is not valid, or its documents are not objects with declared members.
    """
    compiled = CompiledSchema(resolved)
    specification = referencing.jsonschema.specification_with(METASCHEMAS[compiled.draft])
    reader = PartReader(specification, ref_stands_alone=compiled.draft in _REF_STANDS_ALONE)
    resolver = compiled.registry.resolver(compiled.uri)
    root: Located = (compiled.registry.contents(compiled.uri), resolver)
    part = reader.read(root)
    if "object" not in part.types or not part.members:
        raise unusable_schema(resolved.ref, "a table needs the schema of an object that declares its members")
    return root, reader
