"""Servers that the environment names; a test whose server is not named is skipped and says so.

`nox -s services` starts them, `nox -s integration` takes those that run already (see docs/testing-services.md).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from main_job import Place
from registry_server import RegistryServer

import holded_pipeline as hp


def named(variable: str, what: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{what} is absent: {variable} does not name one")
    return value


@pytest.fixture(scope="session")
def s3() -> Callable[..., hp.MinIO]:
    """`s3(**settings)`: a bucket of the store, which need not exist."""
    endpoint = named("HOLDED_TEST_S3", "an S3 store")
    settings = {
        "access_key": named("HOLDED_TEST_S3_ACCESS_KEY", "an S3 store's access key"),
        "secret_key": named("HOLDED_TEST_S3_SECRET_KEY", "an S3 store's secret key"),
        "region": os.environ.get("HOLDED_TEST_S3_REGION", "us-east-1"),
        "retry": hp.Retry(20, 0.1, 2),
    }

    def bucket(name: str, *, at: str = endpoint, **more: Any) -> hp.MinIO:
        return hp.MinIO(at, bucket=name, **(settings | more))

    return bucket


@pytest.fixture(scope="session")
def new_bucket(s3: Callable[..., hp.MinIO]) -> Iterator[Callable[[], hp.MinIO]]:
    """Makes empty buckets, gone at the end."""
    with contextlib.ExitStack() as closing:

        def make() -> hp.MinIO:
            lake = s3(f"holded-{secrets.token_hex(6)}")
            lake.filesystem().mkdir(lake.bucket)
            closing.callback(remove_bucket, lake)
            return lake

        yield make


@pytest.fixture
def lake(new_bucket: Callable[[], hp.MinIO]) -> hp.MinIO:
    return new_bucket()


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[[], hp.Postgres]]:
    """Makes empty databases, gone at the end."""
    server = sa.make_url(named("HOLDED_TEST_POSTGRES", "a PostgreSQL server"))
    password = os.environ.get("HOLDED_TEST_POSTGRES_PASSWORD")

    def database(which: str | None) -> hp.Postgres:
        return hp.Postgres(server.set(database=which).render_as_string(hide_password=False), password=password)

    admin = database(server.database).engine(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection, contextlib.ExitStack() as closing:

        def make() -> hp.Postgres:
            name = f"holded_{secrets.token_hex(6)}"
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
            closing.callback(connection.execute, sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
            return database(name)

        yield make
    admin.dispose()


@pytest.fixture
def db(new_database: Callable[[], hp.Postgres]) -> hp.Postgres:
    return new_database()


@pytest.fixture(scope="session")
def new_place(new_bucket: Callable[[], hp.MinIO], new_database: Callable[[], hp.Postgres]) -> Callable[[], Place]:
    """Makes places for the main job, each with a bucket and a database of its own."""
    return lambda: Place(new_bucket(), new_database())


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    """The registry, for subjects of this test alone, which are gone after it."""
    server = RegistryServer(named("HOLDED_TEST_REGISTRY", "a schema registry"), prefix=f"t{secrets.token_hex(4)}-")
    yield server
    server.close()


@pytest.fixture
def loopback_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names below `localhost` lead here, as RFC 6761 has it and some resolvers do not."""
    resolve = socket.getaddrinfo

    def here(host: Any, *arguments: Any, **options: Any) -> Any:
        below = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if below else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)


def remove_bucket(lake: hp.MinIO) -> None:
    """With old versions and delete markers, without which a versioned bucket cannot go."""
    filesystem = lake.filesystem()
    page = filesystem.call_s3("list_object_versions", Bucket=lake.bucket)
    for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
        if entry["VersionId"] == "null":
            break
        filesystem.call_s3("delete_object", Bucket=lake.bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    filesystem.rm(lake.bucket, recursive=True)
