"""The servers that environment variables name. A test whose server is not named is skipped, with the reason.

`nox -s services` starts them, `nox -s integration` uses running ones (see docs/how-to/testing-services.md).
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
from main_job import JobServers
from registry_server import RegistryServer

import holded_pipeline as hp


def require_variable(variable: str, what: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{what} is missing: set {variable}")
    return value


@pytest.fixture(scope="session")
def s3() -> Callable[..., hp.MinIO]:
    """`s3(bucket, **settings)`: the settings of a bucket, which need not exist."""
    endpoint = require_variable("HOLDED_TEST_S3", "an S3 store")
    settings = {
        "access_key": require_variable("HOLDED_TEST_S3_ACCESS_KEY", "an S3 store's access key"),
        "secret_key": require_variable("HOLDED_TEST_S3_SECRET_KEY", "an S3 store's secret key"),
        "region": os.environ.get("HOLDED_TEST_S3_REGION", "us-east-1"),
        "retry": hp.Retry(20, 0.1, 2),
    }

    def bucket(name: str, *, at: str = endpoint, **more: Any) -> hp.MinIO:
        return hp.MinIO(at, bucket=name, **(settings | more))

    return bucket


@pytest.fixture(scope="session")
def new_bucket(s3: Callable[..., hp.MinIO]) -> Iterator[Callable[[], hp.MinIO]]:
    """Creates empty buckets, which are removed at the end."""
    with contextlib.ExitStack() as closing:

        def create() -> hp.MinIO:
            lake = s3(f"holded-{secrets.token_hex(6)}")
            lake.filesystem().mkdir(lake.bucket)
            closing.callback(remove_bucket, lake)
            return lake

        yield create


@pytest.fixture
def lake(new_bucket: Callable[[], hp.MinIO]) -> hp.MinIO:
    return new_bucket()


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[[], hp.Postgres]]:
    """Creates empty databases, which are removed at the end."""
    server = sa.make_url(require_variable("HOLDED_TEST_POSTGRES", "a PostgreSQL server"))
    password = os.environ.get("HOLDED_TEST_POSTGRES_PASSWORD")

    def settings_for(name: str | None) -> hp.Postgres:
        return hp.Postgres(server.set(database=name).render_as_string(hide_password=False), password=password)

    admin = settings_for(server.database).engine(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection, contextlib.ExitStack() as closing:

        def create() -> hp.Postgres:
            name = f"holded_{secrets.token_hex(6)}"
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
            closing.callback(connection.execute, sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
            return settings_for(name)

        yield create
    admin.dispose()


@pytest.fixture
def db(new_database: Callable[[], hp.Postgres]) -> hp.Postgres:
    return new_database()


@pytest.fixture(scope="session")
def new_job_servers(
    new_bucket: Callable[[], hp.MinIO], new_database: Callable[[], hp.Postgres]
) -> Callable[[], JobServers]:
    """Creates servers for the main job, each time with a new bucket and a new database."""
    return lambda: JobServers(new_bucket(), new_database())


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    """The registry, with subjects of this test alone, which are deleted after it."""
    server = RegistryServer(
        require_variable("HOLDED_TEST_REGISTRY", "a schema registry"), prefix=f"t{secrets.token_hex(4)}-"
    )
    yield server
    server.close()


@pytest.fixture
def loopback_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes names below `localhost` resolve to 127.0.0.1, as RFC 6761 says; some resolvers do not."""
    resolve = socket.getaddrinfo

    def resolve_loopback(host: Any, *arguments: Any, **options: Any) -> Any:
        is_below = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if is_below else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_loopback)


def remove_bucket(lake: hp.MinIO) -> None:
    """Removes a bucket with its old versions and delete markers, without which a versioned bucket cannot be removed."""
    filesystem = lake.filesystem()
    page = filesystem.call_s3("list_object_versions", Bucket=lake.bucket)
    for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
        if entry["VersionId"] == "null":
            break
        filesystem.call_s3("delete_object", Bucket=lake.bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    filesystem.rm(lake.bucket, recursive=True)
