"""Checks of the store: it answers, the bucket is there, and its grants suffice."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from holded_pipeline.cli.checks.clocks import require_same_time
from holded_pipeline.model.errors import TransientError
from holded_pipeline.reading.key_patterns import glob_prefix
from holded_pipeline.store.errors import is_transient_store_error, translate_store_error
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import join_key
from holded_pipeline.store.read_plan import Slice
from holded_pipeline.stored.objects import open_store

_LISTED: Final = 1_000


def check_bucket(lake: MinIO) -> str:
    """The bucket is there, and the keys fit."""
    with open_store(lake) as store:
        next(iter(store.objects("")), None)
    return f"{lake}, bucket {lake.bucket}"


def check_raw(lake: MinIO, raw: str) -> str:
    """What is below the prefix can be listed and read."""
    with open_store(lake) as store:
        found = list(itertools.islice(store.objects(glob_prefix(raw)), _LISTED))
        if not found:
            return "nothing is there yet"
        first = min(found, key=lambda each: each.size)
        if first.size:
            store.read(Slice(first.key, first.etag, first.size, 0, min(first.size, 1)))
    return f"{len(found):,}{' or more' if len(found) == _LISTED else ''} objects"


def check_writable(lake: MinIO, prefix: str) -> str:
    """An object can be written. It is empty, so that whoever reads the prefix finds no record in it."""
    key = join_key(prefix, "", f"check-{uuid.uuid4().hex}.jsonl")
    with open_store(lake) as store:
        store.write(key, b"")
        try:
            store.delete_many([key])
        except Exception as error:  # noqa: BLE001  a run never deletes
            reason = type(error).__name__
            return f"written; {key} could not be deleted and stays ({reason}), it is empty and does no harm"
    return "written and deleted"


def check_store_clock(lake: MinIO) -> str:
    """The store's clock and the one here agree: a store rejects requests that were signed at another time."""
    try:
        answer = lake.filesystem().call_s3("head_bucket", Bucket=lake.bucket)
    except Exception as error:
        if is_transient_store_error(error):
            raise TransientError(f"{lake} does not answer: {error}") from error
        raise translate_store_error(error, lake) from error
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if date is None:
        return "the store does not say what time it is"
    return require_same_time(str(lake), parsedate_to_datetime(date), datetime.now(UTC), precision=1.0)
