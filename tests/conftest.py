"""The real servers that tests run on: one stack for the session, a bucket and a database of its own for each test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import holded_pipeline as hp
from holded_pipeline import local


def pytest_collection_finish() -> None:
    gc.freeze()  # what was imported stays: no need for the collector to look through it again and again


@pytest.fixture(scope="session")
def stack() -> Iterator[local.Stack]:
    with local.stack() as running:
        yield running


@pytest.fixture
def lake(stack: local.Stack) -> hp.MinIO:
    return stack.new_bucket()


@pytest.fixture
def db(stack: local.Stack) -> hp.Postgres:
    return stack.new_database()
