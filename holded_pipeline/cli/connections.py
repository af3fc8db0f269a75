"""The servers and schemas that the settings name."""

from __future__ import annotations

import os
from typing import Any, Final

from holded_pipeline.cli.durations import parse_duration
from holded_pipeline.cli.settings import Settings
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.schemas.directory import SchemaDirectory
from holded_pipeline.schemas.mapping import SchemaMapping
from holded_pipeline.schemas.registry import SchemaRegistry
from holded_pipeline.schemas.schema_source import SchemaSource
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret
from holded_pipeline.store.minio import MinIO

_ANY: Final = "any"  # the subject of events that are not checked
_EVERYTHING_FITS: Final[dict[str, Any]] = {_ANY: {}}


def lake_of(settings: Settings, *, retry: float | None = None) -> MinIO:
    """The store; `retry` seconds replace those of the settings."""
    store = settings.store
    verify: bool | str = store.verify
    if isinstance(verify, str) and verify.lower() in ("true", "false"):  # from the environment
        verify = verify.lower() == "true"
    return MinIO(
        store.endpoint,
        bucket=store.bucket,
        access_key=store.access_key,
        secret_key=Secret.env(store.secret_key_env),
        region=store.region,
        addressing_style=store.addressing_style,
        verify=verify if isinstance(verify, bool) else str(settings.folder / verify),
        timeout=parse_duration(store.timeout),
        retry=_retry(settings, retry),
    )


def database_of(settings: Settings, *, retry: float | None = None) -> Postgres:
    """The database; its password may be missing, where the server trusts or libpq has a file for it."""
    database = settings.database
    return Postgres(
        database.url,
        password=Secret.env(database.password_env) if database.password_env in os.environ else None,
        connect_timeout=parse_duration(database.connect_timeout),
        retry=_retry(settings, retry),
    )


def schemas_of(settings: Settings, *, retry: float | None = None) -> tuple[SchemaSource, str]:
    """Where schemas come from, and the subject of an event; without a source, one that any event fits."""
    schemas = settings.schemas
    if schemas.directory is not None:
        return SchemaDirectory(settings.folder / schemas.directory, layout=schemas.layout), schemas.subject
    if schemas.registry is None:
        return SchemaMapping(_EVERYTHING_FITS), _ANY
    registry = SchemaRegistry(
        schemas.registry,
        username=schemas.username,
        password=None if schemas.password_env is None else Secret.env(schemas.password_env),
        token=None if schemas.token_env is None else Secret.env(schemas.token_env),
        retry=_retry(settings, retry),
    )
    return registry, schemas.subject


def _retry(settings: Settings, seconds: float | None) -> Retry:
    return Retry(parse_duration(settings.runs.retry) if seconds is None else seconds)
