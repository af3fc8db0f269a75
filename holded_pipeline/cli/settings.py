"""The settings of the command: the sections of the file, their keys and their defaults."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from holded_pipeline.cli.durations import parse_duration

Duration = str | float
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[store]`: see `hp.MinIO`."""

    endpoint: Text
    bucket: Text
    access_key: Text
    secret_key_env: Text = "MINIO_SECRET_KEY"  # noqa: S105  the name of the variable
    region: Text = "us-east-1"
    addressing_style: Literal["path", "virtual"] = "path"
    verify: bool | str = True
    timeout: Duration = "30s"

    def __post_init__(self) -> None:
        """Refuses what is no duration."""
        parse_duration(self.timeout)


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[database]`: see `hp.Postgres`."""

    url: Text
    password_env: Text = "PGPASSWORD"  # noqa: S105  the name of the variable
    connect_timeout: Duration = "10s"

    def __post_init__(self) -> None:
        """Refuses what is no duration."""
        parse_duration(self.connect_timeout)


class SchemaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[schemas]`: a directory or a registry; without either, events are not checked."""

    directory: str | None = None
    layout: Literal["path", "iglu"] = "path"
    registry: str | None = None
    username: str | None = None
    password_env: str | None = None
    token_env: str | None = None
    subject: Text = "{type}"

    def __post_init__(self) -> None:
        """Refuses two sources at a time."""
        if self.directory is not None and self.registry is not None:
            raise ValueError("name a directory or a registry, not both")


class FlowSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[flow]`: what is read, what is done with it, and where it goes."""

    name: Text = "ingest"
    raw: Text = "raw/"
    enriched: Text = "enriched/"
    rejected: Text = "rejected/"
    envelope: Text = "holded"
    records: str | None = None
    enrichers: tuple[str, ...] = ("processing", "business_context", "quality")
    min_quality: float | None = None
    max_rejected: int | float | dict[str, int | float] | None = None
    on_conflict: Literal["ignore", "update", "reject"] = "ignore"
    on_empty: Literal["warn", "fail", "ignore"] = "ignore"


class RunSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[runs]`: how runs are made."""

    every: Duration = "60s"
    retry: Duration = "60s"
    runner: Text = "FnApiRunner"

    def __post_init__(self) -> None:
        """Refuses what is no duration."""
        for value in (self.every, self.retry):
            parse_duration(value)


class SpoolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[api.spool]`: where events go while the store does not answer; see `holded_pipeline.api.Spool`."""

    folder: Text
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1 << 30
    after: Duration = "2s"

    def __post_init__(self) -> None:
        """Refuses what is no duration."""
        parse_duration(self.after)


class KeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[api.keys.NAME]`: what a key of the environment may do."""

    scopes: tuple[str, ...] = ("collect",)
    companies: tuple[str, ...] | None = None
    expires_at: datetime | None = None


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[api]`: where the API listens. Its keys are in the environment, or their hashes in a file."""

    host: Text = "localhost"
    port: Port = 8000
    rate: str = "1000/second"
    proxy: str | None = None
    certificate: Text | None = None
    private_key: Text | None = None
    health_port: Port | None = None
    rate_storage_env: Text | None = None
    check_schemas: bool = False
    key_file: str | None = None
    keys: dict[str, KeySettings] = {}
    spool: SpoolSettings | None = None
    workers: Annotated[int, msgspec.Meta(ge=1)] = 1
    log_format: Literal["text", "json"] = "text"
    cors_origins: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings; `store` and `database` have no defaults."""

    store: StoreSettings
    database: DatabaseSettings
    schemas: SchemaSettings = SchemaSettings()
    flow: FlowSettings = FlowSettings()
    runs: RunSettings = RunSettings()
    api: ApiSettings = ApiSettings()
    folder: Path = Path()
    """Of the file: paths in it are relative to it. It is no key of the file."""
