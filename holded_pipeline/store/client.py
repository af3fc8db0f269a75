"""An open connection to an S3-compatible store: the calls the transforms make, and what their errors mean."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import fsspec.asyn

from holded_pipeline.model.errors import ObjectVanishedError
from holded_pipeline.store.errors import (
    is_transient_store_error,
    missing_key,
    no_store_answer,
    told_apart,
    translate_store_error,
)
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import Slice, StoredObject

T = TypeVar("T")

_CONCURRENT_GETS = 16
_WEAK = "W/"  # begins an ETag that stands for a page's meaning, not for bytes; no S3 store gives one
CHUNK_BYTES = 4 << 20
"""Bytes fetched at a time from an object that is streamed."""


class ObjectStore:
    """One pooled connection to a bucket; opened in `setup()`, one per worker. Not for sharing between processes.

    Only ListObjectsV2, GetObject and PutObject are used, so that any S3-compatible store will do.
    """

    def __init__(self, lake: MinIO) -> None:
        self._lake = lake
        self._filesystem = lake.filesystem()

    def close(self) -> None:
        """Gives the connections back: the filesystem closes its session when the last reference to it goes."""
        del self._filesystem

    def objects(self, prefix: str, *, start_after: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin with `prefix`, in the store's order, page by page.

        With `start_after`, only those whose keys come after it, be there such a key or not.
        """
        token: str | None = None
        while True:
            page = self._call(
                partial(_list_page, bucket=self._lake.bucket, prefix=prefix, token=token, start_after=start_after)
            )
            for entry in page.get("Contents", ()):
                if entry["Size"] or not entry["Key"].endswith("/"):  # a console's mark of a folder holds nothing
                    yield StoredObject(entry["Key"], entry["Size"], entry["ETag"].strip('"'))
            if not page["IsTruncated"]:
                return
            token = page["NextContinuationToken"]

    def check(self) -> None:
        """Asks for one key of the bucket, once and without patience.

        Raises:
            ConfigurationError: the bucket, the keys or the endpoint are wrong.
            Exception: the store does not answer, in the driver's words.
        """
        try:
            self._once(partial(_list_one, bucket=self._lake.bucket), time.monotonic())
        except Exception as error:
            if is_transient_store_error(error):
                raise
            raise translate_store_error(error, self._lake) from error

    def read(self, piece: Slice) -> bytes:
        """The bytes of a slice, of exactly the version that was planned.

        Raises:
            ObjectVanishedError: the object was deleted or overwritten in the meantime.
        """
        return self._call(lambda client: _get(client, self._lake.bucket, piece), piece.key)

    def read_many(self, pieces: Sequence[Slice]) -> list[bytes | ObjectVanishedError]:
        """Several slices at once, in order; one that vanished is given back as its error."""

        async def gather(client: Any) -> list[bytes | ObjectVanishedError]:
            gate = asyncio.Semaphore(_CONCURRENT_GETS)

            async def one(piece: Slice) -> bytes | ObjectVanishedError:
                async with gate:
                    try:
                        return await _get(client, self._lake.bucket, piece)
                    except Exception as error:
                        if missing_key(error):
                            return _vanished(self._lake, piece.key)
                        raise

            return list(await asyncio.gather(*(one(piece) for piece in pieces)))

        return self._call(gather)

    def stream(self, piece: Slice, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        """The bytes of a slice in pieces; a connection that breaks costs one piece, not the object."""
        end = piece.start + piece.length
        for start in range(piece.start, end, chunk_bytes):
            part = Slice(piece.key, piece.etag, piece.size, start, min(start + chunk_bytes, end))
            yield self.read(part)

    def write(self, key: str, body: bytes) -> str:
        """Stores an object whole or not at all, and returns its etag."""
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()

        async def put(client: Any) -> str:
            answer = await client.put_object(Bucket=self._lake.bucket, Key=key, Body=body, ContentMD5=digest)
            etag = str(answer.get("ETag", ""))
            if not etag or etag.startswith(_WEAK):  # frameworks put a weak one on whatever page they send
                raise no_store_answer("PutObject", answer, "the object's ETag")
            return etag.strip('"')

        return self._call(put)

    def _once(self, work: Callable[[Any], Awaitable[T]], ends: float) -> T:
        async def attempt() -> T:
            # An answer may come in drops, each in time; the whole is bounded too.
            seconds = max(ends - time.monotonic(), self._lake.timeout)
            try:
                async with asyncio.timeout(seconds):
                    return await work(await self._filesystem.set_session())
            except TimeoutError as error:
                # Not a TimeoutError, of which fsspec makes one of its own without the words.
                raise ConnectionError(f"no whole answer in {seconds:.1f} s") from error
            except Exception as error:
                apart = told_apart(error)
                if apart is error:
                    raise
                raise apart from error

        result: T = fsspec.asyn.sync(self._filesystem.loop, attempt)
        return result

    def _call(self, work: Callable[[Any], Awaitable[T]], key: str | None = None) -> T:
        ends = time.monotonic() + self._lake.retry.deadline
        try:
            return self._lake.retry.call(
                partial(self._once, work, ends), server=str(self._lake), is_transient=is_transient_store_error
            )
        except Exception as error:
            if key is not None and missing_key(error):
                raise _vanished(self._lake, key) from error
            raise translate_store_error(error, self._lake) from error


async def _list_page(client: Any, *, bucket: str, prefix: str, token: str | None, start_after: str) -> dict[str, Any]:
    more = {} if token is None else {"ContinuationToken": token}
    if start_after:
        more["StartAfter"] = start_after
    return _listed(await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **more))


async def _list_one(client: Any, *, bucket: str) -> None:
    _listed(await client.list_objects_v2(Bucket=bucket, MaxKeys=1))


def _listed(page: dict[str, Any]) -> dict[str, Any]:
    """A page of a listing: what is none would pass for an empty bucket, or for the last page."""
    if "IsTruncated" not in page or (page["IsTruncated"] and not page.get("NextContinuationToken")):
        raise no_store_answer("ListObjectsV2", page, "a listing's end or its next page")
    return page


async def _get(client: Any, bucket: str, piece: Slice) -> bytes:
    whole = piece.start == 0 and piece.length == piece.size
    ranged = {} if whole else {"Range": f"bytes={piece.start}-{piece.start + piece.length - 1}"}
    answer = await client.get_object(Bucket=bucket, Key=piece.key, IfMatch=f'"{piece.etag}"', **ranged)
    async with answer["Body"] as stream:
        body: bytes = await stream.read()
    if answer.get("ETag", "").removeprefix(_WEAK).strip('"') != piece.etag:
        raise no_store_answer("GetObject", answer, "the ETag that was asked for")
    if len(body) != piece.length:
        raise ConnectionError(f"{len(body)} bytes of {piece.key} came instead of {piece.length}")
    return body


def _vanished(lake: MinIO, key: str) -> ObjectVanishedError:
    return ObjectVanishedError(
        f"{lake.bucket}/{key} was listed, but was deleted or overwritten before it was read; run again, "
        'or pass on_vanished="reject" to ReadMinIO to go on without it'
    )
