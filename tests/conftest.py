"""Real servers for the tests: one stack for the session, a new bucket and a new database for each test."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import logging
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import settings
from made_ahead import MadeAhead, copies_of, warm_bucket
from nothing_left import pytest_configure, pytest_sessionfinish, pytest_terminal_summary  # noqa: F401  hooks
from quick_beam import keep_what_beam_works_out_again
from quick_part import pytest_collection_modifyitems, pytest_ignore_collect  # noqa: F401  hooks

import holded_pipeline as hp
from holded_pipeline import local

keep_what_beam_works_out_again()

if importlib.util.find_spec("nbclient") is None or importlib.util.find_spec("ipykernel") is None:
    collect_ignore = ["notebooks"]  # pandas makes each process start slowly: .ci/run and nox run them by themselves

# By default the same code passes or fails each time; HYPOTHESIS_PROFILE=search looks for new cases at random.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


_LEVELS = {logger: logger.level for logger in map(logging.getLogger, ("apache_beam", "holded_pipeline"))}


def pytest_collection_finish() -> None:
    gc.freeze()  # imported modules stay, so the collector need not scan them again and again


@pytest.fixture(scope="session", autouse=True)
def _folders_of_pipelines() -> Iterator[None]:
    """Removes the folders of pipelines that tests make and never run, which Beam leaves behind."""
    make = beam.Pipeline.__init__
    folders: set[str] = set()

    @functools.wraps(make)
    def remember(pipeline: beam.Pipeline, *arguments: Any, **options: Any) -> None:
        make(pipeline, *arguments, **options)
        folders.add(pipeline.local_tempdir)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam.Pipeline, "__init__", remember)
        yield
    for each in folders:
        shutil.rmtree(each, ignore_errors=True)


@pytest.fixture(autouse=True)
def _levels_of_logging() -> Iterator[None]:
    """Puts back the levels that a program has set which a test, or a fixture of a session, ran in this process."""
    for logger, level in _LEVELS.items():
        logger.setLevel(level)  # not the attribute: loggers remember whether they are enabled
    yield
    for logger, level in _LEVELS.items():
        logger.setLevel(level)


@pytest.fixture(scope="session")
def stack() -> Iterator[local.Stack]:
    with local.stack() as running, pytest.MonkeyPatch.context() as patch:
        # For the processes, and for the users of their own, to which tests give a URL: it is without the password.
        patch.setenv("PGPASSWORD", running.postgres.password.reveal())
        write_without_waiting_for_the_disk(running)
        yield running


def write_without_waiting_for_the_disk(stack: local.Stack) -> None:
    """Halves what a new database costs. A killed server still loses nothing, only a machine without power would."""
    postgres = stack.superuser(stack.postgres)
    with postgres.engine(poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        for setting in ("fsync", "full_page_writes", "wal_init_zero"):
            connection.execute(sa.text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))


@pytest.fixture(scope="session")
def _buckets(stack: local.Stack) -> Iterator[MadeAhead[hp.MinIO]]:
    with contextlib.closing(MadeAhead(functools.partial(warm_bucket, stack))) as ahead:
        yield ahead


@pytest.fixture(scope="session")
def _databases(stack: local.Stack) -> Iterator[MadeAhead[hp.Postgres]]:
    template = stack.new_database()
    hp.migrate(template)
    with contextlib.closing(MadeAhead(copies_of(template))) as ahead:
        yield ahead


@pytest.fixture
def lake(_buckets: MadeAhead[hp.MinIO]) -> hp.MinIO:
    return _buckets()


@pytest.fixture
def db(_databases: MadeAhead[hp.Postgres]) -> hp.Postgres:
    """A database with the business tables, all empty."""
    return _databases()


@pytest.fixture
def bare_db(stack: local.Stack) -> hp.Postgres:
    """A database without any table."""
    return stack.new_database()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form) + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file
