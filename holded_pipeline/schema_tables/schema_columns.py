"""The columns for the members of a document, as its schema declares them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from holded_pipeline.schema_tables.column_types import column_type
from holded_pipeline.schema_tables.document_row import Path
from holded_pipeline.schema_tables.schema_parts import TYPES, Located, Part, PartReader

Nested = Literal["jsonb", "flatten"]


@attrs.frozen
class SchemaColumn:
    """A column for a member.

    Attributes:
        path: the names of the members that lead to it.
        type: the column's type.
        nullable: whether the member may be null or missing.
    """

    path: Path
    type: sa.types.TypeEngine[Any]
    nullable: bool


class ColumnFinder:
    """Finds the columns of a document, and what has none.

    Args:
        reader: reads the schemas.
        nested: whether an object with declared members is one column or a column for each of them.
        has_rest: whether there is a column for members without one of their own.

    Attributes:
        notes: what has no column, or a column that says less than the schema.
    """

    def __init__(self, reader: PartReader, nested: Nested, *, has_rest: bool) -> None:
        self._reader = reader
        self._nested = nested
        self._has_rest = has_rest
        self.notes: list[str] = []

    def columns(self, root: Located) -> list[SchemaColumn]:
        """The columns, in the schema's order."""
        return list(self._columns_of(self._reader.read(root), (), nullable=False))

    def _columns_of(self, part: Part, place: Path, *, nullable: bool) -> Iterator[SchemaColumn]:
        where = ".".join(place) or "the document"
        for keyword in sorted(part.not_read):
            self.notes.append(f"{where}: {keyword} is not read, so what only it declares has no column of its own")
        if not part.is_closed and not self._has_rest:
            self.notes.append(f"{where}: members that the schema does not declare are not stored; rest= stores them")
        for name, alternatives in part.members.items():
            chain = part.chain if self._nested == "flatten" else frozenset[int]()
            member = self._reader.read_member(alternatives, chain)
            is_nullable = nullable or name not in part.required or "null" in member.types
            yield from self._columns_for(member, (*place, name), nullable=is_nullable)

    def _columns_for(self, member: Part, path: Path, *, nullable: bool) -> Iterator[SchemaColumn]:
        types = member.types - {"null"}
        if not types:
            self.notes.append(f"{'.'.join(path)}: it can only be null or missing, so it has no column")
        elif self._nested == "flatten" and types == {"object"} and member.members:
            yield from self._columns_of(member, path, nullable=nullable)
        else:
            if len(types) > 1 and types != {"integer", "number"}:
                named = types - {"integer"} if "number" in types else types
                listed = "anything" if types == TYPES - {"null"} else " or ".join(sorted(named))
                self.notes.append(f"{'.'.join(path)}: it may be {listed}, so its column is JSONB")
            yield SchemaColumn(path, column_type(types, member.limits), nullable)


def kind_of(column: SchemaColumn) -> str:
    """What a value must be for the column: see `DocumentColumn.kind`."""
    kind = column.type
    if isinstance(kind, JSONB):
        return "json"
    if isinstance(kind, sa.Boolean):
        return "boolean"
    if isinstance(kind, sa.Integer):
        return "integer"
    if isinstance(kind, sa.TIMESTAMP | sa.Date):
        return "timestamp" if isinstance(kind, sa.TIMESTAMP) else "date"
    return "number" if isinstance(kind, sa.Numeric) else "text"
