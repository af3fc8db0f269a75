"""An open connection to an S3-compatible store: the calls the transforms make, and what their errors mean."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import fsspec.asyn

from holded_pipeline.model.errors import ObjectUnreadableError, ObjectVanishedError, TransientError
from holded_pipeline.model.near_names import near_names
from holded_pipeline.servers.background_call import call_in_background
from holded_pipeline.store.bytes_file import BytesFile
from holded_pipeline.store.errors import (
    is_missing_bucket,
    is_missing_key,
    is_transient_store_error,
    is_unreadable,
    not_a_store_error,
    recognize_other_server,
    translate_store_error,
    unreadable_error,
    with_tls_advice,
)
from holded_pipeline.store.listing import list_buckets, list_folder, list_one_key, list_page
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import Slice, StoredObject
from holded_pipeline.store.signed_gets import SignedGets

T = TypeVar("T")
_logger = logging.getLogger("holded_pipeline")

ObjectError = ObjectUnreadableError | ObjectVanishedError
"""Why one object cannot be read, while others can."""

_CONCURRENT_CALLS = 16
_WEAK = "W/"  # how an ETag of a web page may begin; no S3 store sends such an ETag
CHUNK_BYTES = 4 << 20
"""Bytes fetched at a time from an object that is streamed."""
_CHUNKS_AHEAD = 2


class ObjectStore:
    """One pooled connection to a bucket; opened in `setup()`, one per worker. Not for sharing between processes.

    Only ListObjectsV2, GetObject, PutObject and DeleteObject are used, so that any S3-compatible store will do; where
    the bucket is missing, ListBuckets too, for the message.
    """

    def __init__(self, lake: MinIO) -> None:
        self._lake = lake
        self._filesystem = lake.filesystem()
        self._retries = True

    def stop_retrying(self) -> None:
        """No attempt follows another any more, also of calls that other threads make: nobody needs their results."""
        self._retries = False

    def close(self) -> None:
        """Closes the connections: the filesystem closes its session with the last reference to it."""
        del self._filesystem

    def objects(self, prefix: str, *, start_after: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin with `prefix`, in the store's order, page by page.

        With `start_after`, only those whose keys come after it; no object needs to have that key.
        """
        token: str | None = None
        while True:
            page = self._call(
                partial(list_page, bucket=self._lake.bucket, prefix=prefix, token=token, start_after=start_after)
            )
            for entry in page.get("Contents", ()):
                if entry["Size"] or not entry["Key"].endswith("/"):  # the empty object by which consoles mark a folder
                    yield StoredObject(entry["Key"], entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])
            if not page["IsTruncated"]:
                return
            token = page["NextContinuationToken"]

    def names_in(self, folder: str) -> list[str]:
        """The folders, with a slash at the end, and the objects in a folder: of one page, and without retries."""
        listing = partial(list_folder, bucket=self._lake.bucket, folder=folder)
        page = self._attempt(listing, time.monotonic())
        folders = [str(each["Prefix"]) for each in page.get("CommonPrefixes", ())]
        return folders + [str(each["Key"]) for each in page.get("Contents", ()) if each["Key"] != folder]

    def check(self) -> None:
        """Lists one key of the bucket, without retries.

        Raises:
            ConfigurationError: the bucket, the keys or the endpoint are wrong.
            Exception: the store does not answer, as the driver's exception.
        """
        try:
            self._attempt(partial(list_one_key, bucket=self._lake.bucket), time.monotonic())
        except Exception as error:
            if is_transient_store_error(error):
                raise
            raise translate_store_error(error, self._lake) from error

    def read(self, part: Slice) -> bytes:
        """The bytes of a slice, of exactly the version that was planned.

        Raises:
            ObjectVanishedError: the object was deleted or overwritten in the meantime.
            ObjectUnreadableError: the store does not give it out.
        """
        return self._call(lambda client: _get_slice(client, self._lake.bucket, part), part.key)

    def read_many(self, parts: Sequence[Slice]) -> list[bytes | ObjectError]:
        """The bytes of several slices, read at once, in their order; an error where an object cannot be read."""
        found: dict[int, bytes | ObjectError] = {}  # what one attempt read is not read again by the next
        self._call(partial(self._read_missing, parts, found))
        return [found[number] for number in range(len(parts))]

    async def _read_missing(self, parts: Sequence[Slice], found: dict[int, bytes | ObjectError], client: Any) -> None:
        waiting = iter([number for number in range(len(parts)) if number not in found])
        signed_gets = await SignedGets.open(client, self._lake)

        async def read_next() -> None:
            for number in waiting:
                body = await signed_gets.get(parts[number])
                found[number] = await self._get_or_error(client, parts[number]) if body is None else body

        readers = [asyncio.ensure_future(read_next()) for _ in range(min(_CONCURRENT_CALLS, len(parts)))]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()  # after an error the others would go on

    async def _get_or_error(self, client: Any, part: Slice) -> bytes | ObjectError:
        try:
            return await _get_slice(client, self._lake.bucket, part)
        except Exception as error:
            object_error = _object_error(error, self._lake, part.key)
            if object_error is None:
                raise
            return object_error

    def stream(
        self,
        part: Slice,
        chunk_bytes: int = CHUNK_BYTES,
        *,
        first: Future[bytes] | None = None,
        begin_next: Callable[[], None] | None = None,
    ) -> Iterator[bytes]:
        """The bytes of a slice in chunks; when a connection breaks, one chunk is read again, not the object.

        The next chunks are read while the caller works on one: `_CHUNKS_AHEAD` of them are in memory beside it.

        Args:
            part: the slice.
            chunk_bytes: of a chunk.
            first: the first chunk, as `begin` gave it; None to read it, too.
            begin_next: begins to read what comes after the slice; called when that would be among the next chunks.
        """
        parts = part.chunks(chunk_bytes)
        reads: deque[Future[bytes]] = deque([] if first is None else [first])
        for number in range(len(parts)):
            ahead = parts[number + len(reads) : number + 1 + _CHUNKS_AHEAD]
            reads.extend([call_in_background(partial(self.read, each), "read-minio") for each in ahead])
            if begin_next is not None and number + 1 + _CHUNKS_AHEAD > len(parts):
                begin_next()
                begin_next = None
            first = None  # it is not kept in memory
            yield reads.popleft().result()

    def write(self, key: str, body: bytes) -> str:
        """Stores an object, whole or not at all, and returns its etag."""
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()

        async def put(client: Any) -> str:
            content = BytesFile(body) if len(body) > CHUNK_BYTES else body
            answer = await client.put_object(Bucket=self._lake.bucket, Key=key, Body=content, ContentMD5=digest)
            etag = str(answer.get("ETag", ""))
            if not etag or etag.startswith(_WEAK):  # web frameworks send a weak one with any page
                raise not_a_store_error("PutObject", answer, "the object's ETag")
            return etag.strip('"')

        return self._call(put)

    def delete_many(self, keys: Sequence[str]) -> None:
        """Deletes objects; one that is gone already is no error."""
        waiting = list(keys)  # what one attempt deleted is not deleted again by the next

        async def delete_next(client: Any) -> None:
            while waiting:
                key = waiting.pop()
                try:
                    await client.delete_object(Bucket=self._lake.bucket, Key=key)
                except BaseException:
                    waiting.append(key)
                    raise

        async def delete_all(client: Any) -> None:
            await asyncio.gather(*(delete_next(client) for _ in range(_CONCURRENT_CALLS)))

        self._call(delete_all)

    def _attempt(self, operation: Callable[[Any], Awaitable[T]], deadline: float) -> T:
        async def run() -> T:
            # Each byte of an answer may come in time, so the time of the whole answer is bounded, too.
            seconds = max(deadline - time.monotonic(), self._lake.timeout)
            try:
                async with asyncio.timeout(seconds):
                    return await operation(await self._filesystem.set_session())
            except TimeoutError as error:
                # Not a TimeoutError: fsspec would replace it by its own, without this message.
                raise ConnectionError(f"no whole answer in {seconds:.1f} s") from error
            except Exception as error:
                recognized = recognize_other_server(error)
                if recognized is error:
                    raise
                raise recognized from error

        result: T = fsspec.asyn.sync(self._filesystem.loop, run)
        return result

    def _call(self, operation: Callable[[Any], Awaitable[T]], key: str | None = None) -> T:
        deadline = time.monotonic() + self._lake.retry.deadline
        try:
            return self._lake.retry.call(
                partial(self._attempt, operation, deadline),
                server=str(self._lake),
                is_transient=lambda error: self._retries and is_transient_store_error(error),
            )
        except TransientError as error:
            raise with_tls_advice(error, self._lake) from error.__cause__
        except Exception as error:
            if key is not None and (object_error := _object_error(error, self._lake, key)) is not None:
                raise object_error from error
            near = self._near_buckets() if is_missing_bucket(error) else ()
            raise translate_store_error(error, self._lake, near) from error

    def _near_buckets(self) -> list[str]:
        """The buckets whose names are like the missing one's, or all of them; none where the key may not list them."""
        try:
            answer = self._attempt(list_buckets, time.monotonic())
        except Exception as error:
            _logger.debug("the buckets cannot be listed", exc_info=error)
            return []
        names = [str(each["Name"]) for each in answer.get("Buckets") or ()]
        return near_names(self._lake.bucket, names) or names


async def _get_slice(client: Any, bucket: str, part: Slice) -> bytes:
    whole = part.start == 0 and part.length == part.size
    ranged = {} if whole else {"Range": f"bytes={part.start}-{part.start + part.length - 1}"}
    answer = await client.get_object(Bucket=bucket, Key=part.key, IfMatch=f'"{part.etag}"', **ranged)
    async with answer["Body"] as stream:
        body: bytes = await stream.read()
    if answer.get("ETag", "").removeprefix(_WEAK).strip('"') != part.etag:
        raise not_a_store_error("GetObject", answer, "the ETag that was asked for")
    if len(body) != part.length:
        raise ConnectionError(f"{len(body)} bytes of {part.key} came instead of {part.length}")
    return body


def _object_error(error: Exception, lake: MinIO, key: str) -> ObjectError | None:
    """The error for one object that cannot be read; None if others cannot be read either."""
    if is_missing_key(error):
        return _vanished_error(lake, key)
    return unreadable_error(error, lake, key) if is_unreadable(error) else None


def _vanished_error(lake: MinIO, key: str) -> ObjectVanishedError:
    return ObjectVanishedError(
        f"{lake.bucket}/{key} was listed, but was deleted or overwritten before it was read; run again, "
        'or pass on_vanished="reject" to ReadMinIO to continue without it'
    )
