"""The settings of a connection to an S3-compatible store."""

from __future__ import annotations

import asyncio
import functools
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from holded_pipeline.servers.argument_types import described_argument, url_without_password, wrong_argument
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret
from holded_pipeline.servers.server_url import parse_http_url

if TYPE_CHECKING:  # at run time they are imported by who connects: they take a tenth of a second
    import s3fs
    from aiobotocore.session import AioSession

_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


def _validate_endpoint(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    parts = parse_http_url(value, f"MinIO.{attribute.name}", example="http://localhost:9000")
    if parts.username or parts.password:
        raise ValueError("give the keys as access_key and secret_key, not inside the endpoint's URL")
    if parts.query or parts.fragment:
        raise ValueError(f"MinIO.{attribute.name} is the URL of a server and must have nothing after ? or #")


def _validate_bucket(minio: MinIO, attribute: attrs.Attribute[str], value: str) -> None:
    _validate_text(minio, attribute, value)
    if "/" in value or ":" in value:
        name = value.partition("://")[2] if "://" in value else value
        raise ValueError(
            f"MinIO.bucket is the name of a bucket alone, got {value!r}; give bucket={name.partition('/')[0]!r}, and "
            "the folder as the prefix of a transform, e.g. hp.ReadMinIO(lake, 'raw/')"
        )
    if urlsplit(minio.endpoint).path.strip("/") == value:
        raise ValueError(f"MinIO.endpoint ends in the bucket {value!r}; give the URL of the server alone")


def _to_secret(value: str | Secret) -> Secret:
    return Secret.of(value)


def _validate_text(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str):
        wrong = "an hp.Secret; only secret_key is one" if isinstance(value, Secret) else described_argument(value)
        raise TypeError(f"MinIO.{attribute.name} is a text, and got {wrong}")
    if not value:
        raise ValueError(f"MinIO.{attribute.name} must not be empty")


@functools.cache
def _session() -> AioSession:
    """One session for the process: it loads the model of the S3 API, which takes longer than listing a page.

    The keys belong to the client, not to the session. All clients are made in the thread of fsspec's event loop.
    """
    from aiobotocore.session import AioSession  # noqa: PLC0415

    session = AioSession()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_timestamp)
    return session


def _close_session(loop: asyncio.AbstractEventLoop | None, client: Any) -> None:
    """Closes the connections of a filesystem in the event loop that they belong to.

    s3fs calls this with the last reference to the filesystem, which an error may keep. If that one goes while another
    event loop runs in the same thread, such as a server's, s3fs itself would close them there, and fail.
    """
    import s3fs  # noqa: PLC0415

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        s3fs.S3FileSystem.close_session(loop, client)
    else:
        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(client.__aexit__(None, None, None), loop)


def _parse_timestamp(value: str) -> datetime:
    """As botocore parses it. Its way through dateutil takes more than half the time of listing an object."""
    if isinstance(value, str) and _ISO_TIME.fullmatch(value):
        return datetime.fromisoformat(value)
    from botocore.utils import parse_timestamp  # noqa: PLC0415

    parsed: datetime = parse_timestamp(value)
    return parsed


@attrs.frozen
class MinIO:
    """A bucket of an S3-compatible store: MinIO, SeaweedFS, Ceph, Garage, AWS S3 and their like.

    Constructing it does no I/O.

    Attributes:
        endpoint: the server's URL.
        bucket: the bucket that all keys are in.
        access_key: the access key's id.
        secret_key: its secret; a plain string becomes a `Secret`.
        region: the region that requests are signed for; most stores other than AWS accept any.
        addressing_style: `path` (http://host/bucket/key) or `virtual` (http://bucket.host/key).
        verify: whether the server's certificate is checked; a path names the CA bundle to check it with.
        timeout: seconds for a connection, and for a server to send the next bytes.
        retry: how long calls are retried during an outage.
    """

    endpoint: str = attrs.field(validator=_validate_endpoint)
    bucket: str = attrs.field(kw_only=True, validator=_validate_bucket)
    access_key: str = attrs.field(kw_only=True, validator=_validate_text)
    secret_key: Secret = attrs.field(kw_only=True, converter=_to_secret)
    region: str = attrs.field(kw_only=True, default="us-east-1", validator=_validate_text)
    addressing_style: str = attrs.field(
        kw_only=True, default="path", validator=attrs.validators.in_(("path", "virtual"))
    )
    verify: bool | str = attrs.field(kw_only=True, default=True)
    timeout: float = attrs.field(kw_only=True, default=30.0, validator=attrs.validators.gt(0))
    retry: Retry = attrs.field(kw_only=True, factory=Retry)

    def filesystem(self, **overrides: Any) -> s3fs.S3FileSystem:
        """A new fsspec filesystem for this store, for what the transforms do not do.

        Paths are `bucket/key`. `overrides` are passed to `s3fs.S3FileSystem`.
        """
        import s3fs  # noqa: PLC0415

        settings: dict[str, Any] = {
            "key": self.access_key,
            "secret": self.secret_key.reveal(),
            "client_kwargs": {
                "endpoint_url": self.endpoint,
                "region_name": self.region,
                # Without TLS there is no certificate, and to read the list of authorities takes longer than a request.
                "verify": self.verify if self.endpoint.lower().startswith("https:") else False,
            },
            "config_kwargs": {
                "s3": {"addressing_style": self.addressing_style},
                "signature_version": "s3v4",
                # Newer defaults add checksum trailers, which S3 clones reject.
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
                "connect_timeout": self.timeout,
                "read_timeout": self.timeout,
                "max_pool_connections": 32,
                "retries": {"mode": "standard", "total_max_attempts": 2},
            },
            "skip_instance_cache": True,
            "use_listings_cache": False,
        }
        filesystem = s3fs.S3FileSystem(**(settings | overrides))
        filesystem.close_session = _close_session
        if not overrides:
            filesystem.session = _session()
        return filesystem

    def __str__(self) -> str:
        return f"object store {self.endpoint}"


def require_minio(given: Any, whose: str) -> None:
    """Checks that an argument is a `MinIO`, where the argument is written.

    Raises:
        TypeError: it is not; the message says how to make one, and shows no secret.
    """
    if isinstance(given, MinIO):
        return
    endpoint, bucket = url_without_password(given, "http", "https") or "http://localhost:9000", "holded"
    if (url := url_without_password(given, "s3", "s3a")) is not None:
        bucket = url.partition("://")[2].partition("/")[0]
    example = f'hp.MinIO("{endpoint}", bucket="{bucket}", access_key="…", secret_key=hp.Secret.env("MINIO_SECRET_KEY"))'
    raise wrong_argument(whose, "an hp.MinIO, a store and its bucket", given, example)
