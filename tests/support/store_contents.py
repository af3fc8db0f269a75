"""What lies in a store after a test did its work."""

from __future__ import annotations

import gzip
import json
from typing import Any

import holded_pipeline as hp


def objects_below(lake: hp.MinIO, prefix: str) -> dict[str, bytes]:
    """The bytes of every object below a prefix, by key."""
    filesystem = lake.filesystem()
    bucket = f"{lake.bucket}/"
    return {path.removeprefix(bucket): filesystem.cat(path) for path in filesystem.find(bucket + prefix)}


def documents_below(lake: hp.MinIO, prefix: str) -> list[Any]:
    """The JSON values of every line below a prefix, of plain objects and of gzip."""
    bodies = (
        gzip.decompress(body) if key.endswith(".gz") else body for key, body in objects_below(lake, prefix).items()
    )
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def put_object(lake: hp.MinIO, key: str, body: bytes) -> None:
    """Stores an object."""
    lake.filesystem().pipe(f"{lake.bucket}/{key}", body)
