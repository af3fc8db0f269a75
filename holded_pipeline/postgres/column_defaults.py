"""The defaults that a SQLAlchemy table declares, for columns that a row leaves out.

What Python makes is made on the client: a `default` for each row, an `onupdate` for each batch. SQL, and a sequence, is
written into the merge. A `server_default` needs nothing: the database knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.dialect import DIALECT


def filled_by_client(table: sa.Table, columns: Sequence[str]) -> tuple[sa.Column[Any], ...]:
    """The columns that rows leave out, when they give `columns`, and that Python has a default for."""
    return tuple(
        column
        for column in table.columns
        if column.name not in columns
        and column.default is not None
        and (column.default.is_callable or column.default.is_scalar)
    )


def filled_by_merge(table: sa.Table, columns: Sequence[str]) -> dict[str, str]:
    """The SQL of the defaults of columns that rows leave out, by the column's name."""
    defaults = ((column.name, default_sql(column.default)) for column in table.columns if column.name not in columns)
    return {name: sql for name, sql in defaults if sql is not None}


def default_sql(default: Any) -> str | None:
    """A default or onupdate as SQL; None where it is none."""
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
    """What Python's `default` or `onupdate` of a column, as `kind` says, gives now.

    Raises:
        ConfigurationError: it is a function that asks for the statement it is called for.
    """
    default = getattr(column, kind)
    return default.arg(_NoContext(described(column, kind))) if default.is_callable else default.arg


def check_defaults(table: sa.Table) -> None:
    """Makes sure that defaults in SQL can be written out, and the others be sent to workers.

    Raises:
        ValueError: SQL cannot be written out.
    """
    for column in table.columns:
        for kind in ("default", "onupdate"):
            default = getattr(column, kind)
            if default is not None and default.is_callable:
                _shed_class(default.arg)
            try:
                default_sql(default)
            except sa.exc.CompileError as error:
                raise ValueError(
                    f"the {described(column, kind)} cannot be written as SQL ({error}); use a server_default, or have "
                    "the row function fill the column"
                ) from error


def described(column: sa.Column[Any], kind: str) -> str:
    """A default's name in messages."""
    return f"{kind} of column {column.name!r} of {column.table.name}"


def _shed_class(function: Any) -> None:
    """Takes off what SQLAlchemy's wrapper of a class (`default=dict`) has copied of it, and what cannot be pickled."""
    if isinstance(getattr(function, "__wrapped__", None), type):
        vars(function).clear()


class _NoContext:
    """Stands for the statement's context, which SQLAlchemy hands to functions that take an argument."""

    def __init__(self, default: str) -> None:
        self._default = default

    def __getattr__(self, name: str) -> NoReturn:
        raise ConfigurationError(
            f"the {self._default} reads {name} of the statement it is called for, and rows are copied without one; "
            "have the row function fill the column"
        )
