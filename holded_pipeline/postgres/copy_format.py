"""Rows as lines of COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format").

Formatting is done before anything is sent, so that a value that cannot be formatted costs its own row only, and a
batch can be cut in two without formatting it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap, Dumper, PyFormat, Transformer

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.column_defaults import default_value, filled_by_client
from holded_pipeline.postgres.dialect import DIALECT
from holded_pipeline.user_code.errors import pipeline_error_for

_CONTROLS = (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\b", "\\b"), ("\f", "\\f"), ("\v", "\\013"))
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


class _Array(Dumper):
    """Each element as its own type is written: psycopg's own dumper refuses integers beside decimals, as JSON has them.

    https://www.postgresql.org/docs/current/arrays.html, "Array Input and Output Syntax"
    """

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self._transformer = Transformer.from_context(context)

    def dump(self, obj: list[Any]) -> bytes:
        return b"{%b}" % b",".join(map(self._element, obj))

    def _element(self, element: Any) -> bytes:
        if isinstance(element, list):
            return self.dump(element)
        dumped = None if element is None else self._transformer.get_dumper(element, PyFormat.TEXT).dump(element)
        if dumped is None:
            return b"NULL"
        return b'"%b"' % bytes(dumped).replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _adapters() -> AdaptersMap:
    """How values are written so that they are read alike under all settings of a session."""
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(timedelta, _Interval)
    adapters.register_dumper(list, _Array)
    for kind in (bytes, bytearray, memoryview, psycopg.Binary):
        adapters.register_dumper(kind, _Bytes)
    return adapters


class RowFormat:
    """Formats rows of one table.

    Args:
        table: whose columns' types say how values are written, and whose defaults what rows need not give.
    """

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        self._transformer = Transformer(_adapters())
        self._columns = {column.name: column for column in table.columns}
        self._formats = {name: self._format_of(column) for name, column in self._columns.items()}
        self._filled: dict[tuple[str, ...], tuple[sa.Column[Any], ...]] = {}

    def columns(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """The columns a row gives, by their names in the database, in the table's order.

        Raises:
            ConfigurationError: the row names a column that the table does not have.
        """
        known = tuple(name for name in self._formats if name in row)
        if len(known) != len(row):
            raise ConfigurationError(self._unknown(set(row) - set(self._formats)))
        return known

    def line(self, row: Mapping[str, Any], columns: Sequence[str]) -> bytes:
        """The row's line, with its end: the values it gives, then those that Python's defaults give.

        Raises:
            RejectRecord: a value cannot be written as its column's type; reason `invalid_value`.
            TransientError, ConfigurationError: a type of the user's met an outage, or misses a file; or a default
                cannot be made here.
        """
        values = [self._value(name, row[name]) for name in columns]
        values += [
            self._value(column.name, default_value(column, "default")) for column in self._filled_beside(columns)
        ]
        return b"\t".join(values) + b"\n"

    def literal(self, name: str, value: Any) -> str:
        """A value as an SQL literal that a column reads as it would read a copied one.

        Raises:
            RejectRecord: it cannot be written as the column's type.
        """
        copied = self._value(name, value)
        # E'...' knows the same escapes as COPY does.
        return "NULL" if copied == _NULL else "E'{}'".format(copied.decode().replace("'", "''"))

    def _filled_beside(self, columns: Sequence[str]) -> tuple[sa.Column[Any], ...]:
        given = tuple(columns)
        if given not in self._filled:
            self._filled[given] = filled_by_client(self.table, given)
        return self._filled[given]

    def _unknown(self, names: set[Any]) -> str:
        keys = {column.key: name for name, column in self._columns.items()}
        renamed = [f"{keys[name]!r}, not by the key {name!r}" for name in names if name in keys]
        advice = "change the row function or the table"
        if renamed:
            advice = f"name columns as the database does: {', '.join(renamed)}"
        listed = ", ".join(sorted(map(repr, names)))
        return f"the row has {listed}, which the table {self.table.name} has no column for; {advice}"

    def _value(self, name: str, value: Any) -> bytes:
        if value is None:
            return _NULL
        try:
            return self._formats[name](value)
        except Exception as error:  # a column's type may be a stranger's, too
            column = f"the column {name!r} of {self.table.name}"
            failed = f"cannot hold the value as {self._columns[name].type!r}"
            raise pipeline_error_for("invalid_value", error, column, failed) from error

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
    escaped = value.replace("\\", "\\\\")
    if not value.isprintable():  # the usual text is, and need not be looked through for each of these
        if "\0" in value:
            raise ValueError("it holds U+0000, which PostgreSQL cannot store")
        for control, escape in _CONTROLS:
            escaped = escaped.replace(control, escape)
    return escaped.encode()


def _json(value: Any) -> bytes:
    encoded = json_codec.encode_checked(value)
    return encoded.replace(b"\\", b"\\\\")  # control characters stand escaped in JSON already
