"""Rows as lines of COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format").

Rows are formatted before anything is sent, so a value that cannot be formatted rejects its own row only, and a batch
can be split without formatting it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap, Dumper, PyFormat, Transformer

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.json_numbers import MAX_STORED_GROWTH, written_digits
from holded_pipeline.postgres.column_defaults import client_default_columns, default_value
from holded_pipeline.postgres.dialect import DIALECT
from holded_pipeline.postgres.written_size import MAX_WRITTEN_BYTES, SMALL_ROW_BYTES, written_bytes
from holded_pipeline.user_code.errors import pipeline_error_for

_CONTROL_ESCAPES = (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\b", "\\b"), ("\f", "\\f"), ("\v", "\\013"))
_NULL = b"\\N"
_NUMBER_WITH_EXPONENT = re.compile(r"\s*[+-]?[0-9._]+[eE][+-]?[0-9_]+\s*")
_MAX_KNOWN_ROWS = 5_000  # orders of columns that rows have come in

FormatValue = Callable[[Any], bytes]


class _IntervalDumper(Dumper):
    """Every part has a sign: under `intervalstyle = 'sql_standard'` a leading minus applies to parts without one."""

    oid = psycopg.adapters.types["interval"].oid

    def dump(self, obj: timedelta) -> bytes:
        # timedelta(seconds=-1)  ->  b"-1 day +86399 second +0 microsecond"
        return b"%+d day %+d second %+d microsecond" % (obj.days, obj.seconds, obj.microseconds)


class _BytesDumper(Dumper):
    """In hexadecimal. libpq would escape bytes for an SQL literal, by the settings of the last connection."""

    oid = psycopg.adapters.types["bytea"].oid

    def dump(self, obj: Any) -> bytes:
        # b"\x00\xff"  ->  b"\\x00ff"
        return b"\\x" + bytes(obj.obj if isinstance(obj, psycopg.Binary) else obj).hex().encode()


class _ArrayDumper(Dumper):
    """Each element is written as its own type: psycopg's dumper raises for integers beside decimals, as JSON has them.

    https://www.postgresql.org/docs/current/arrays.html, "Array Input and Output Syntax"
    """

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self._transformer = Transformer.from_context(context)

    def dump(self, obj: list[Any]) -> bytes:
        # [[1, 2.5], [None, 'say "x"']]  ->  b'{{"1","2.5"},{NULL,"say \\"x\\""}}'
        return b"{%b}" % b",".join(map(self._element, obj))

    def _element(self, element: Any) -> bytes:
        if isinstance(element, list):
            return self.dump(element)
        dumped = None if element is None else self._transformer.get_dumper(element, PyFormat.TEXT).dump(element)
        if dumped is None:
            return b"NULL"
        return b'"%b"' % bytes(dumped).replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _create_adapters() -> AdaptersMap:
    """How values are written, so that they are read alike under all settings of a session."""
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(timedelta, _IntervalDumper)
    adapters.register_dumper(list, _ArrayDumper)
    for kind in (bytes, bytearray, memoryview, psycopg.Binary):
        adapters.register_dumper(kind, _BytesDumper)
    return adapters


class RowFormat:
    """Formats rows of one table.

    Args:
        table: the types of its columns say how values are written; its defaults fill columns that rows omit.
        missing: the columns that the table in the database lacks.
    """

    def __init__(self, table: sa.Table, missing: frozenset[str] = frozenset()) -> None:
        self.table = table
        self._missing = missing
        self._transformer = Transformer(_create_adapters())
        self._columns = {column.name: column for column in table.columns}
        self._formats = {name: self._format_of(column) for name, column in self._columns.items()}
        self._known_rows: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._client_defaults: dict[tuple[str, ...], tuple[sa.Column[Any], ...]] = {}

    def columns(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """The columns of a row, by their names in the database, in the table's order.

        Raises:
            ConfigurationError: the row names a column that the table does not have, here or in the database.
        """
        names = tuple(row)
        columns = self._known_rows.get(names)
        if columns is None:
            columns = tuple(name for name in self._formats if name in row)
            if len(columns) != len(row):
                raise ConfigurationError(self._describe_unknown(set(row) - set(self._formats)))
            if not self._missing.isdisjoint(columns):
                raise ConfigurationError(self._describe_missing(self._missing.intersection(columns)))
            if len(self._known_rows) < _MAX_KNOWN_ROWS:
                self._known_rows[names] = columns
        return columns

    def line(self, row: Mapping[str, Any], columns: Sequence[str]) -> bytes:
        """The row's line, with its line end: the values of `columns`, then those of Python's defaults.

        Raises:
            RejectRecord: a value cannot be written as its column's type; reason `invalid_value`.
            TransientError, ConfigurationError: a type of the user's met an outage, or a file is missing; or a default
                cannot be evaluated here.
        """
        # {"k": 1, "v": "a\tb", "w": None} with columns ("k", "v", "w")  ->  b"1\ta\\tb\t\\N\n"
        values = [self._value(name, row[name]) for name in columns]
        values += [
            self._value(column.name, default_value(column, "default")) for column in self._default_columns(columns)
        ]
        line = b"\t".join(values) + b"\n"
        if len(line) > SMALL_ROW_BYTES:
            self._check_written(columns, values)
        return line

    def _check_written(self, columns: Sequence[str], values: Sequence[bytes]) -> None:
        """Checks that a query can read a large row again; behind the values of `columns` are those of defaults."""
        size = written_bytes(values, [self._columns[name].type for name in columns])
        if size > MAX_WRITTEN_BYTES:
            raise RejectRecord(
                "invalid_value",
                f"the row for {self.table.name} takes {size:,} bytes when it is written out, and PostgreSQL writes "
                f"{MAX_WRITTEN_BYTES:,} at most; send smaller exponents, or less",
            )

    def literal(self, name: str, value: Any) -> str:
        """A value as an SQL literal, which a column reads as it reads a copied value.

        Raises:
            RejectRecord: it cannot be written as the column's type.
        """
        copied = self._value(name, value)
        # E'...' has the same escapes as COPY: the text  it's<line feed>  ->  E'it''s\n'
        return "NULL" if copied == _NULL else "E'{}'".format(copied.decode().replace("'", "''"))

    def _default_columns(self, columns: Sequence[str]) -> tuple[sa.Column[Any], ...]:
        key = tuple(columns)
        if key not in self._client_defaults:
            self._client_defaults[key] = client_default_columns(self.table, key)
        return self._client_defaults[key]

    def _describe_unknown(self, names: set[Any]) -> str:
        keys = {column.key: name for name, column in self._columns.items()}
        renamed = [f"{keys[name]!r}, not by the key {name!r}" for name in names if name in keys]
        advice = "add columns to the table, and by hp.evolve(db, table, apply=True) to the database; or omit them"
        if renamed:
            advice = f"name columns as the database does: {', '.join(renamed)}"
        listed = ", ".join(sorted(map(repr, names)))
        return f"the row has {listed}, which the table {self.table.name} has no column for; {advice}"

    def _describe_missing(self, names: frozenset[str]) -> str:
        listed = ", ".join(f'column "{name}"' for name in sorted(names))
        return (
            f"the row has {listed}, not known to the database (SQLSTATE 42703): its table {self.table.name} lacks a "
            "column that the rows have; hp.evolve(db, table) shows what differs, and with apply=True it adds columns "
            "that may be NULL"
        )

    def _value(self, name: str, value: Any) -> bytes:
        if value is None:
            return _NULL
        try:
            return self._formats[name](value)
        except Exception as error:  # a column's type may be user code, too
            column = f"the column {name!r} of {self.table.name}"
            failed = f"cannot hold the value as {self._columns[name].type!r}"
            raise pipeline_error_for("invalid_value", error, column, failed) from error

    def _format_of(self, column: sa.Column[Any]) -> FormatValue:
        if isinstance(column.type, sa.JSON):
            return _format_json
        bind = column.type.dialect_impl(DIALECT).bind_processor(DIALECT)
        is_of_numbers = isinstance(column.type, sa.ARRAY) and isinstance(column.type.item_type, sa.Numeric)
        adapt = self._adapt_numbers if is_of_numbers else self._adapt
        return adapt if bind is None else lambda value: adapt(bind(value))

    def _adapt_numbers(self, value: Any) -> bytes:
        """An array of numbers, which may be texts: many producers write amounts so."""
        if isinstance(value, list):
            _check_array(value, texts_are_numbers=True)
        return self._adapt(value)

    def _adapt(self, value: Any) -> bytes:
        if value is None:
            return _NULL
        kind = type(value)
        if kind is str:
            return escape_text(value)
        if kind is int or kind is datetime:
            return str(value).encode()
        if kind is list:
            _check_array(value)
        dumped = self._transformer.get_dumper(value, PyFormat.TEXT).dump(value)
        return _NULL if dumped is None else escape_text(bytes(dumped).decode())


def _check_array(array: list[Any], *, texts_are_numbers: bool = False) -> None:
    """Checks that PostgreSQL can give an array again: it takes `1e131071` in a few bytes, and writes all digits out."""
    digits = 0
    pending = [array]
    while pending:
        for element in pending.pop():
            if isinstance(element, list):
                pending.append(element)
            elif isinstance(element, Decimal):
                digits += written_digits(str(element)) if element.is_finite() else 0
            elif texts_are_numbers and isinstance(element, str) and _NUMBER_WITH_EXPONENT.fullmatch(element):
                digits += written_digits(element.strip().replace("_", ""))
    if digits > MAX_STORED_GROWTH:
        raise ValueError(
            f"its numbers take {digits:,} digits when they are written out, and {MAX_STORED_GROWTH:,} are kept"
        )


def escape_text(value: str) -> bytes:
    """Text with the escapes of COPY, where a tab ends the value and a line feed the line."""
    # a<tab>b   ->  a\tb      a backslash and a t
    # C:\new    ->  C:\\new   each backslash twice
    # \N        ->  \\N       the text of these two characters, which unescaped would be NULL
    escaped = value.replace("\\", "\\\\")
    if not value.isprintable():  # most text is, and then it contains none of these
        if "\0" in value:
            raise ValueError("it contains U+0000, which PostgreSQL cannot store")
        for control, escape in _CONTROL_ESCAPES:
            escaped = escaped.replace(control, escape)
    return escaped.encode()


def _format_json(value: Any) -> bytes:
    encoded = json_codec.encode_checked(value)
    return encoded.replace(b"\\", b"\\\\")  # control characters are escaped in JSON already
