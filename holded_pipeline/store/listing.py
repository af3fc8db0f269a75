"""The calls that list a bucket, and whether what came is a listing."""

from __future__ import annotations

from typing import Any

from holded_pipeline.store.errors import not_a_store_error


async def list_page(client: Any, *, bucket: str, prefix: str, token: str | None, start_after: str) -> dict[str, Any]:
    """One page of the objects whose keys begin with a prefix."""
    more = {} if token is None else {"ContinuationToken": token}
    if start_after:
        more["StartAfter"] = start_after
    return check_page(await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **more))


async def list_buckets(client: Any) -> dict[str, Any]:
    """The buckets that the key may list."""
    answer: dict[str, Any] = await client.list_buckets()
    return answer


async def list_folder(client: Any, *, bucket: str, folder: str) -> dict[str, Any]:
    """The first page of a folder, with the folders in it."""
    return check_page(await client.list_objects_v2(Bucket=bucket, Prefix=folder, Delimiter="/"))


async def list_one_key(client: Any, *, bucket: str) -> None:
    """Lists one key, to see that the bucket can be listed."""
    check_page(await client.list_objects_v2(Bucket=bucket, MaxKeys=1))


def check_page(page: dict[str, Any]) -> dict[str, Any]:
    """The page, if it is one of a listing; another answer would look like an empty bucket, or like the last page."""
    if "IsTruncated" not in page or (page["IsTruncated"] and not page.get("NextContinuationToken")):
        raise not_a_store_error("ListObjectsV2", page, "the end of a listing or its next page")
    return page
