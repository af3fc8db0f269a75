"""Buckets and databases that are made while the test before them runs: each takes a tenth of a second or two.

SeaweedFS takes most of it for the first object of a bucket, so a bucket that was made ahead has held one. A database
that was made ahead has the business tables.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import make_url

import holded_pipeline as hp
from holded_pipeline import local

T = TypeVar("T")
_AHEAD = 3


class MadeAhead(Generic[T]):
    """Calls `make` in a thread of its own, so that a few of what it makes are ready when they are asked for."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(1)
        self._ready: list[Future[T]] = []
        self._next()

    def __call__(self) -> T:
        made = self._ready.pop(0)
        self._next()
        try:
            return made.result()
        except KeyError:  # pytest changed the environment between tests, while botocore looked through it
            return self._make()

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _next(self) -> None:
        while len(self._ready) < _AHEAD:
            self._ready.append(self._thread.submit(self._make))


def warm_bucket(stack: local.Stack) -> hp.MinIO:
    """A new and empty bucket that has held an object."""
    lake = stack.new_bucket()
    filesystem = lake.filesystem()
    filesystem.pipe_file(f"{lake.bucket}/first", b"")
    filesystem.rm_file(f"{lake.bucket}/first")
    return lake


def copies_of(template: hp.Postgres) -> Callable[[], hp.Postgres]:
    """A function that makes a new database on the same server with what this one has; nobody may be connected to it."""
    url = make_url(template.url)

    def named(name: str) -> hp.Postgres:
        return attrs.evolve(template, url=url.set(database=name).render_as_string())

    engine = named("postgres").engine(poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")

    def copy() -> hp.Postgres:
        new = f"database_{secrets.token_hex(6)}"
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {new} TEMPLATE {url.database}"))
        return named(new)

    return copy
