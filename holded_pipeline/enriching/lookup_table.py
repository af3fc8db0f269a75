"""Rows of a PostgreSQL table by their key: one query for many keys."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.time_limit import Deadline

_LARGEST = {sa.SmallInteger: 2**15, sa.BigInteger: 2**63}
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_PLAIN = (str, int, bool, type(None))


@attrs.frozen
class TableSource:
    """Where rows are looked up; see `Lookup.table`."""

    db: Postgres
    table: str
    key: str
    columns: tuple[str, ...] | None

    def open(self) -> TableRows:
        """Connects when it is first asked."""
        return TableRows(self)

    def __str__(self) -> str:
        return f"table {self.table} of {self.db}"


class TableRows:
    """An open table. Not for sharing between threads."""

    def __init__(self, source: TableSource) -> None:
        self._source = source
        # A ping before each use would not be bounded in time; a connection that went stale costs one more attempt.
        self._engine = source.db.engine(pool_size=1, max_overflow=1, pool_pre_ping=False, json_deserializer=_exact_json)
        self._query: _Query | None = None
        self.loads = 0

    def close(self) -> None:
        """Gives the connection back."""
        self._engine.dispose()

    def fetch(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """The rows of these keys; one that the table lacks is left out.

        Raises:
            TransientError: the server did not answer within the deadline.
            ConfigurationError: a grant, the table or a column is missing, the key is not unique, or a column
                holds what JSON has no form for.
        """
        return call_postgres(self._source.db, partial(self._attempt, keys))

    def _attempt(self, keys: Collection[str], deadline: Deadline) -> dict[str, dict[str, Any]]:
        with deadline.time_limit().connect(self._engine) as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            if self._query is None:
                self._query = _Query.of(self._source, connection)
            asked = self._query.parameters(keys)
            if not asked:
                return {}
            self.loads += 1
            return self._query.rows(connection, asked)


@attrs.frozen
class _Query:
    """The statement, and how keys become its parameters."""

    source: TableSource
    names: tuple[str, ...]
    statement: sa.Select[Any]
    parameter: Callable[[str], Any]

    @classmethod
    def of(cls, source: TableSource, connection: sa.Connection) -> _Query:
        schema, _, name = source.table.rpartition(".")
        try:
            table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False)
        except sa.exc.NoSuchTableError as error:
            raise ConfigurationError(f"there is no {source} that this user may see; check its name") from error
        names = source.columns or tuple(column.name for column in table.columns if column.name != source.key)
        for column in (source.key, *names):
            if column not in table.columns:
                has = ", ".join(table.columns.keys())
                raise ConfigurationError(f"the {source} has no column {column!r}; it has: {has}")
        key = table.columns[source.key]
        keys = sa.bindparam("keys", type_=ARRAY(key.type))
        statement = sa.select(key, *(table.columns[name] for name in names)).where(key == sa.any_(keys))
        return cls(source, names, statement, _parameter_of(key, source))

    def parameters(self, keys: Collection[str]) -> dict[Any, list[str]]:
        """The keys that the column can hold at all, each with the texts that mean it."""
        asked: dict[Any, list[str]] = {}
        for text in keys:
            parameter = self.parameter(text)
            if parameter is not None:
                asked.setdefault(parameter, []).append(text)
        return asked

    def rows(self, connection: sa.Connection, asked: Mapping[Any, Sequence[str]]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for key, *values in connection.execute(self.statement, {"keys": list(asked)}):
            row = {name: self._plain(name, value) for name, value in zip(self.names, values, strict=True)}
            for text in asked[key]:
                if text in found:
                    raise ConfigurationError(
                        f"the {self.source} has several rows with {self.source.key} = {text!r}; "
                        "look up a unique column, or a view that has one row for each key"
                    )
                found[text] = row
        return found

    def _plain(self, column: str, value: Any) -> Any:
        """The value as JSON."""
        if isinstance(value, _PLAIN) or (isinstance(value, float | Decimal) and math.isfinite(value)):
            return value
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, uuid.UUID):
            return str(value)
        if isinstance(value, dict):
            return {name: self._plain(column, member) for name, member in value.items()}
        if isinstance(value, list):
            return [self._plain(column, member) for member in value]
        raise ConfigurationError(
            f"the column {column!r} of the {self.source} holds {_kind(value)}, which JSON has no form for; "
            "leave it out of columns=, or cast it in a view"
        )


def _parameter_of(key: sa.Column[Any], source: TableSource) -> Callable[[str], Any]:
    """What makes a value of the key's type of a text; None for a text that it has no value for."""
    if isinstance(key.type, sa.Integer):
        most = next((most for kind, most in _LARGEST.items() if isinstance(key.type, kind)), 2**31)
        return lambda text: number if _INTEGER.fullmatch(text) and -most <= (number := int(text)) < most else None
    if isinstance(key.type, sa.Uuid):
        return _uuid
    if isinstance(key.type, sa.String) and not isinstance(key.type, sa.Enum | sa.CHAR | CITEXT):
        return _text
    raise ConfigurationError(
        f"the column {key.name!r} of the {source} has the type {key.type!r}; rows are looked up by text, varchar, "
        "integer or uuid, so cast it in a view"
    )


def _text(text: str) -> str | None:
    return text if json_codec.is_storable(text) else None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _exact_json(text: str | bytes) -> Any:
    return json_codec.decode_own(text.encode() if isinstance(text, str) else text)


def _kind(value: Any) -> str:
    return f"the number {value}" if isinstance(value, float | Decimal) else type(value).__name__
