"""`table_from_schema`: a table and its row function for the documents of a JSON Schema."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.schema_tables.document_row import DocumentColumn, DocumentRow
from holded_pipeline.schema_tables.schema_columns import ColumnFinder, Nested, SchemaColumn, kind_of
from holded_pipeline.schemas.references import LocalSchemas
from holded_pipeline.schemas.schema_source import ResolvedSchema, SchemaSource

_MAX_NAME = 63  # bytes
_SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
_MAX_COLUMNS = 1_600
_NOTES = "not_in_columns"
_logger = logging.getLogger("holded_pipeline")


class SchemaTable(NamedTuple):
    """A table for the documents of a schema.

    Attributes:
        table: the SQLAlchemy table.
        row: its row function, which takes an `Event` or the document itself.
    """

    table: sa.Table
    row: DocumentRow

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the schema has no column, or a column that says less than the schema."""
        notes: tuple[str, ...] = self.table.info[_NOTES]
        return notes


def table_from_schema(
    schemas: SchemaSource | Mapping[str, Any],
    subject: str,
    *,
    key: str | Sequence[str],
    version: int | Literal["latest"] = "latest",
    name: str | None = None,
    nested: Nested = "jsonb",
    rest: str | None = None,
    names: Mapping[str, str] | None = None,
    metadata: sa.MetaData | None = None,
    schema: str | None = None,
) -> SchemaTable:
    """Makes a SQLAlchemy table, and the row function for `WritePostgres`, from a JSON Schema.

    * `string` becomes `TEXT`; with `maxLength` `VARCHAR(n)`; with the format `date-time`, `date` or `uuid` that type.
    * `integer` becomes `BIGINT`; `INTEGER` or `NUMERIC` where `minimum` and `maximum` say so.
    * `number` becomes `NUMERIC`, which keeps every digit, and `boolean` `BOOLEAN`.
    * `object`, `array` and several types become `JSONB`.

    A member that is required and cannot be null is `NOT NULL`. `$ref`, `allOf`, `anyOf` and `oneOf` are followed; of
    alternatives, each member of any has a column. What has none is listed in `notes` of the result, and logged.

    Args:
        schemas: as for `ValidateSchema`.
        subject: the subject of the schema.
        key: the primary key: a member or several, by their columns' names.
        version: a version number, or `latest`.
        name: the table's name; by default made from the subject.
        nested: what objects with declared members become: `jsonb` for one column, `flatten` for a column for each of
            their members, `customer_id` for `id` in `customer`.
        rest: the name of a JSONB column for members without a column of their own. None to leave them out.
        names: other names for columns, by the names of the members that lead there, with dots between:
            {"customer.id": "buyer"}.
        metadata: what the table is added to.
        schema: the table's schema in the database.

    Returns:
        The table and its row function, as a pair; see `SchemaTable`.

    Raises:
        ValueError: a key or name is not that of a member, a key's column is JSONB, or a name cannot be a column's.
        ConfigurationError: there is no such schema, or it is not valid or not one of objects.
        TransientError: the registry did not answer within its `retry`.

    Example:
        >>> invoice = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
        >>> table, row = hp.table_from_schema({"invoice": invoice}, "invoice", key="id")
        >>> row({"id": "F-1"})
        {'id': 'F-1'}
        >>> load = hp.WritePostgres(db, table=table, row=row, on_conflict="update")

    **Guarantees:** the same schema gives the same table. The row function changes no value: what has another type than
    its column is rejected (`row_error`).
    """
    # Imported here: `jsonschema` takes longer than all the rest of the package.
    from holded_pipeline.schema_tables.schema_root import schema_root  # noqa: PLC0415

    if nested not in ("jsonb", "flatten"):
        raise ValueError(f'nested must be "jsonb" or "flatten", got {nested!r}')
    root, reader = schema_root(_resolve(schemas, subject, version))
    finder = ColumnFinder(reader, nested, has_rest=rest is not None)
    found = _with_names(finder.columns(root), names or {}, rest)
    keys = [key] if isinstance(key, str) else list(key)
    finder.notes += _validate_key(keys, found, subject)
    columns = [
        sa.Column(
            each,
            column.type,
            primary_key=each in keys,
            nullable=column.nullable and each not in keys,
            autoincrement=False,
        )
        for each, column in found.items()
    ]
    if rest is not None:
        columns.append(sa.Column(rest, JSONB))
    name = re.sub(r"\W+", "_", subject) if name is None else name
    _validate_name(name, "the table", "give another name=")
    table = sa.Table(name, metadata or sa.MetaData(), *columns, schema=schema, info={_NOTES: tuple(finder.notes)})
    for note in finder.notes:
        _logger.warning("table %s from the schema %r: %s", name, subject, note)
    filled = tuple(DocumentColumn(each, column.path, kind_of(column)) for each, column in found.items())
    return SchemaTable(table, DocumentRow(filled, rest))


def _resolve(
    schemas: SchemaSource | Mapping[str, Any], subject: str, version: int | Literal["latest"]
) -> ResolvedSchema:
    source: SchemaSource = LocalSchemas(dict(schemas)) if isinstance(schemas, Mapping) else schemas
    resolver = source.prepare().open()
    try:
        return resolver.resolve(subject, None if version == "latest" else version)
    except RejectRecord as missing:
        is_schema = isinstance(schemas, Mapping) and not {"type", "properties", "$schema"}.isdisjoint(schemas)
        advice = f"; this looks like a schema itself: pass {{{subject!r}: schema}}" if is_schema else ""
        raise ConfigurationError(f"no table can be made: {missing}{advice}") from missing
    finally:
        resolver.close()


def _with_names(found: list[SchemaColumn], names: Mapping[str, str], rest: str | None) -> dict[str, SchemaColumn]:
    """The columns by name."""
    by_path = {".".join(column.path): column for column in found}
    unknown = sorted(set(names) - set(by_path))
    if unknown:
        raise ValueError(f"names has {', '.join(map(repr, unknown))}, but the members are {', '.join(by_path)}")
    columns: dict[str, SchemaColumn] = {}
    for column in found:
        path = ".".join(column.path)
        name = names.get(path, "_".join(column.path))
        _validate_name(name, f"the column of {path!r}", f"give another one by names={{{path!r}: ...}}")
        if name in columns or name == rest:
            other = "rest" if name == rest else repr(".".join(columns[name].path))
            raise ValueError(
                f"{path!r} and {other} both have the column {name!r}; give another by names={{{path!r}: ...}}"
            )
        columns[name] = column
    if len(columns) >= _MAX_COLUMNS:
        raise ValueError(f'the table would have {len(columns)} columns, and PostgreSQL allows 1600; use nested="jsonb"')
    return columns


def _validate_name(name: str, whose: str, advice: str) -> None:
    size = len(name.encode(errors="surrogatepass"))
    if not 0 < size <= _MAX_NAME or "\0" in name or name in _SYSTEM_COLUMNS:
        raise ValueError(
            f"{whose} cannot have the name {name!r}: PostgreSQL takes 1 to {_MAX_NAME} bytes, and not the name of a "
            f"system column; {advice}"
        )


def _validate_key(keys: list[str], columns: Mapping[str, SchemaColumn], subject: str) -> list[str]:
    """The notes about a key that can be one."""
    for key in keys:
        if key not in columns:
            raise ValueError(f"the key {key!r} is not a column; the schema {subject!r} gives {', '.join(columns)}")
        if kind_of(columns[key]) == "json":
            raise ValueError(f"the key {key!r} would be JSONB; a key needs one simple type")
    if not keys:
        raise ValueError("key must name at least one column")
    return [
        f"{key}: it is in the key, and the schema lets it be null or missing; such rows are rejected"
        for key in keys
        if columns[key].nullable
    ]
