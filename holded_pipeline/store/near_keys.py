"""What a bucket has near a prefix or pattern that matches nothing, for messages."""

from __future__ import annotations

import logging

from holded_pipeline.model.near_names import listed, near_names
from holded_pipeline.store.client import ObjectStore

_logger = logging.getLogger("holded_pipeline")


def describe_near_keys(store: ObjectStore, bucket: str, prefix: str) -> str:
    """What stands in the folder of a prefix, or in the first folder above it that has anything, by at most 3 listings.

    Args:
        store: the open store.
        bucket: its name.
        prefix: what keys were expected to begin with.

    Returns:
        A clause such as `the bucket has raw/, enriched/`; an empty text if the store does not say.
    """
    if prefix.startswith(f"{bucket}/"):
        return f"it begins with the bucket's name, which is no part of keys: write {prefix.partition('/')[2]!r}"
    folder = prefix[: prefix.rfind("/") + 1]
    parent = folder[: folder.rstrip("/").rfind("/") + 1]
    for place in dict.fromkeys((folder, parent, "")):
        try:
            names = store.names_in(place)
        except Exception as error:
            _logger.debug("what is near %r cannot be listed", prefix, exc_info=error)
            return ""
        if names:
            near = near_names(prefix, names, most=3)
            where = "the bucket has" if not place else f"{place} has"
            return f"{where} {listed([*near, *(name for name in names if name not in near)])}"
    return "the bucket is empty"
