"""Rows as lines of COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format").

Formatting is done before anything is sent, so that a value that cannot be formatted costs its own row only, and a
batch can be cut in two without formatting it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.adapt import AdaptersMap, Dumper, PyFormat, Transformer

from holded_pipeline.clients.dialect import DIALECT
from holded_pipeline.core import json_codec
from holded_pipeline.core.enricher_faults import fault_of
from holded_pipeline.core.errors import ConfigurationError

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "\v": "\\v"})
_SPECIAL = re.compile(r"[\\\n\r\t\x08\f\v]")
_NULL = b"\\N"

Format = Callable[[Any], bytes]


class _Interval(Dumper):
    """With a sign for each part: under `intervalstyle = 'sql_standard'` a first minus goes for all parts without."""

    oid = psycopg.adapters.types["interval"].oid

    def dump(self, obj: timedelta) -> bytes:
        return b"%+d day %+d second %+d microsecond" % (obj.days, obj.seconds, obj.microseconds)


class _Bytes(Dumper):
    """In hexadecimal; libpq would escape them for a literal in SQL, and as some connection before was told."""

    oid = psycopg.adapters.types["bytea"].oid

    def dump(self, obj: Any) -> bytes:
        return b"\\x" + bytes(obj.obj if isinstance(obj, psycopg.Binary) else obj).hex().encode()


def _adapters() -> AdaptersMap:
    """How values are written so that they are read alike under all settings of a session."""
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(timedelta, _Interval)
    for kind in (bytes, bytearray, memoryview, psycopg.Binary):
        adapters.register_dumper(kind, _Bytes)
    return adapters


class RowFormat:
    """Formats rows of one table.

    Args:
        table: whose columns' types say how values are written.
    """

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._transformer = Transformer(_adapters())
        self._formats = {column.name: self._format_of(column) for column in table.columns}

    def columns(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """The columns a row fills, in the table's order.

        Raises:
            ConfigurationError: the row names a column that the table does not have.
        """
        known = tuple(name for name in self._formats if name in row)
        if len(known) != len(row):
            unknown = ", ".join(sorted(repr(name) for name in set(row) - set(self._formats)))
            raise ConfigurationError(
                f"the row has {unknown}, which the table {self._table.name} has no column for; "
                "change the row function or the table"
            )
        return known

    def line(self, row: Mapping[str, Any], columns: Sequence[str]) -> bytes:
        """The row's line, with its end.

        Raises:
            RejectRecord: a value cannot be written as its column's type; reason `invalid_value`.
            TransientError, ConfigurationError: a type of the user's met an outage, or misses a file.
        """
        return b"\t".join([self._value(name, row[name]) for name in columns]) + b"\n"

    def _value(self, name: str, value: Any) -> bytes:
        if value is None:
            return _NULL
        try:
            return self._formats[name](value)
        except Exception as error:  # a column's type may be a stranger's, too
            column = f"the column {name!r} of {self._table.name}"
            failed = f"cannot hold the value as {self._table.columns[name].type!r}"
            raise fault_of("invalid_value", error, column, failed) from error

    def _format_of(self, column: sa.Column[Any]) -> Format:
        if isinstance(column.type, sa.JSON):
            return _json
        bind = column.type.dialect_impl(DIALECT).bind_processor(DIALECT)
        return self._adapt if bind is None else lambda value: self._adapt(bind(value))

    def _adapt(self, value: Any) -> bytes:
        if value is None:
            return _NULL
        kind = type(value)
        if kind is str:
            return _text(value)
        if kind is int or kind is datetime:
            return str(value).encode()
        dumped = self._transformer.get_dumper(value, PyFormat.TEXT).dump(value)
        return _NULL if dumped is None else _text(bytes(dumped).decode())


def _text(value: str) -> bytes:
    if "\0" in value:
        raise ValueError("it holds U+0000, which PostgreSQL cannot store")
    return (value.translate(_ESCAPES) if _SPECIAL.search(value) else value).encode()


def _json(value: Any) -> bytes:
    encoded = json_codec.encode_checked(value)
    return encoded.replace(b"\\", b"\\\\")  # control characters stand escaped in JSON already
