"""The defaults that a SQLAlchemy table declares, for columns that a row omits.

A Python default is evaluated on the client: `default` for each row, `onupdate` for each batch. An SQL expression or a
sequence is written into the merge statement. A `server_default` needs nothing: the database applies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NoReturn

import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.dialect import DIALECT


def client_default_columns(table: sa.Table, columns: Sequence[str]) -> tuple[sa.Column[Any], ...]:
    """The columns with a Python default among those that rows with `columns` omit."""
    return tuple(column for column in _with_client_default(table) if column.name not in columns)


@lru_cache(maxsize=16)  # asked for each set of columns that rows have, of which there may be a thousand
def _with_client_default(table: sa.Table) -> tuple[sa.Column[Any], ...]:
    defaults = ((column, column.default) for column in table.columns)
    return tuple(column for column, each in defaults if each is not None and (each.is_callable or each.is_scalar))


def sql_defaults(table: sa.Table, columns: Sequence[str]) -> dict[str, str]:
    """The SQL defaults of columns that rows with `columns` omit, by the column's name."""
    defaults = ((column.name, default_sql(column.default)) for column in table.columns if column.name not in columns)
    return {name: sql for name, sql in defaults if sql is not None}


def default_sql(default: Any) -> str | None:
    """A default or onupdate as SQL; None where it is not SQL."""
    if default is None:
        return None
    if default.is_sequence and not default.optional:  # an optional one is for databases without SERIAL
        expression = default.next_value()
    elif default.is_clause_element:
        expression = default.arg
    else:
        return None
    return f"({expression.compile(dialect=DIALECT, compile_kwargs={'literal_binds': True})})"


def default_value(column: sa.Column[Any], kind: str) -> Any:
    """The value now of a column's Python `default` or `onupdate`, as `kind` says.

    Raises:
        ConfigurationError: it is a function that reads SQLAlchemy's context of the statement.
    """
    default = getattr(column, kind)
    return default.arg(_MissingContext(describe_default(column, kind))) if default.is_callable else default.arg


def validate_defaults(table: sa.Table) -> None:
    """Makes sure that SQL defaults can be written into a statement, and makes Python defaults picklable.

    Raises:
        ValueError: an SQL default cannot be written.
    """
    for column in table.columns:
        for kind in ("default", "onupdate"):
            default = getattr(column, kind)
            if default is not None and default.is_callable:
                _remove_class_attributes(default.arg)
            try:
                default_sql(default)
            except sa.exc.CompileError as error:
                raise ValueError(
                    f"the {describe_default(column, kind)} cannot be written as SQL ({error}); "
                    "use a server_default, or have the row function fill the column"
                ) from error


def describe_default(column: sa.Column[Any], kind: str) -> str:
    """A default's name in messages, e.g. `onupdate of column 'w' of orders`."""
    return f"{kind} of column {column.name!r} of {column.table.name}"


def _remove_class_attributes(function: Any) -> None:
    """Removes the attributes that SQLAlchemy's wrapper of a class (`default=dict`) has copied from it.

    They cannot be pickled, and the wrapper works without them.
    """
    if isinstance(getattr(function, "__wrapped__", None), type):
        vars(function).clear()


class _MissingContext:
    """Takes the place of the statement's context, which SQLAlchemy passes to functions with an argument."""

    def __init__(self, default: str) -> None:
        self._default = default

    def __getattr__(self, name: str) -> NoReturn:
        raise ConfigurationError(
            f"the {self._default} reads {name} of its statement, and rows are copied without one; "
            "have the row function fill the column"
        )
