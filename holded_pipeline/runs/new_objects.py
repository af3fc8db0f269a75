"""A listing without the objects that a ledger has settled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice

from holded_pipeline.runs.bookmarks import Bookmarks, Listing
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.settled_objects import PAGE, SettledObjects
from holded_pipeline.store.read_plan import StoredObject

_logger = logging.getLogger("holded_pipeline")

ListObjects = Callable[[str], Iterator[StoredObject]]
"""Lists objects in the order of their keys: those after a key, or all for the empty text."""


class NewObjects:
    """Finds the objects of a listing that a ledger has not settled.

    Args:
        ledger: the ledger.
        bucket: the bucket that is listed.
        pattern: the prefix or glob that is listed; the bookmark is kept for it.
    """

    def __init__(self, ledger: Ledger, bucket: str, pattern: str) -> None:
        self._ledger = ledger
        self._settled = SettledObjects(ledger.db, ledger.name, bucket)
        self._bookmarks = Bookmarks(ledger.db, ledger.name, bucket, pattern)
        self.listed = 0
        self.new = 0

    def find(self, list_objects: ListObjects) -> Iterator[StoredObject]:
        """The new objects, in their order; memory is bounded by a page. When all are given the bookmark moves."""
        try:
            if not self._ledger.keys_grow:
                for _, new in self._pages(list_objects("")):
                    yield from new
                return
            yield from self._find_after_bookmark(list_objects)
        finally:
            self._settled.close()

    def _find_after_bookmark(self, list_objects: ListObjects) -> Iterator[StoredObject]:
        listing = self._bookmarks.begin(self._ledger.list_all_every)
        start_after, is_open = listing.start_after, True
        last, in_order = listing.start_after, True
        for page, new in self._pages(list_objects(listing.start_after)):
            keys = [last, *(each.key for each in page)]
            last, in_order = keys[-1], in_order and keys == sorted(keys)
            if is_open:
                settled, is_open = self._settled_up_to(page, new, listing)
                start_after = settled or start_after
            yield from new
        if not in_order:  # then no key says what was listed before it
            _logger.warning(
                "the store does not list keys in the order of their bytes, as S3 does, so keys_grow of the ledger %r "
                "has no effect: all keys are listed each time",
                self._ledger.name,
            )
        self._bookmarks.save(listing, start_after if in_order else "")

    def _settled_up_to(self, page: list[StoredObject], new: list[StoredObject], listing: Listing) -> tuple[str, bool]:
        """The last key before the first object of a page that is new or recent, and whether there is none of those."""
        recent = listing.began - self._ledger.overlap
        new_keys = {each.key for each in new}
        start_after = ""
        for stored in page:
            if stored.key in new_keys or stored.modified is None or stored.modified >= recent:
                return start_after, False
            start_after = stored.key
        return start_after, True

    def _pages(self, objects: Iterator[StoredObject]) -> Iterator[tuple[list[StoredObject], list[StoredObject]]]:
        while page := list(islice(objects, PAGE)):
            new = self._settled.new_of(page)
            self.listed += len(page)
            self.new += len(new)
            yield page, new
