"""Rows into tables and out of them, without a pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.table_loader import TableLoader


def rows_of(db: hp.Postgres, statement: str) -> list[tuple[Any, ...]]:
    """What a statement returns, committed; an empty list where it returns no rows."""
    with _connect(db, autocommit=True) as connection:
        result = connection.execute(statement.encode())
        return result.fetchall() if result.description else []


def load_rows(
    db: hp.Postgres,
    table: sa.Table,
    rows: Iterable[Mapping[str, Any]],
    *,
    columns: tuple[str, ...] | None = None,
    on_conflict: Any = "ignore",
    keep: Any = "first",
    **choices: Any,
) -> Any:
    """Loads rows by a `TableLoader` of their own, as one batch; `columns` are those of the first row by default.

    `choices` are others of the loader."""
    rows = list(rows)
    columns = columns or tuple(rows[0])
    form = RowFormat(table)
    loader = TableLoader(db, table, on_conflict=on_conflict, keep=keep, **choices)
    try:
        return loader.load(columns, [form.line(row, columns) for row in rows])
    finally:
        loader.close()


@contextlib.contextmanager
def many_loads(
    db: hp.Postgres,
    table: sa.Table,
    *,
    columns: tuple[str, ...] | None = None,
    on_conflict: Any = "ignore",
    keep: Any = "first",
    **choices: Any,
) -> Iterator[Callable[[Iterable[Mapping[str, Any]]], Any]]:
    """A function that loads rows as `load_rows` does, by one loader for all; without `columns` of mixed sets."""
    loader, form = TableLoader(db, table, on_conflict=on_conflict, keep=keep, **choices), RowFormat(table)

    def load(rows: Iterable[Mapping[str, Any]]) -> Any:
        rows = list(rows)
        if columns is not None:
            return loader.load(columns, [form.line(row, columns) for row in rows])
        filled = [form.columns(row) for row in rows]
        return loader.load_mixed(filled, [form.line(*each) for each in zip(rows, filled, strict=True)])

    try:
        yield load
    finally:
        loader.close()


def run_statements(db: hp.Postgres, *statements: str) -> None:
    """Runs statements in one transaction."""
    with _connect(db) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _connect(db: hp.Postgres, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
    """Without the queries by which an engine gets to know the server."""
    url = make_url(db.url)
    names = {name: value for name, value in url.query.items() if name != "prepare_threshold"}  # psycopg's, not libpq's
    names |= url.translate_connect_args(username="user", database="dbname")
    password = None if db.password is None else db.password.reveal()
    return psycopg.connect(**names, password=password, client_encoding="utf8", **options)
