"""Where a ledger goes on listing, if keys grow with time.

All that was listed up to the bookmark is settled, and was stored long enough ago that nothing is expected before it.
What comes there all the same is found by the next listing from the start.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.run_database import in_transaction

# The update that changes nothing locks the row: a reset has then either ended, or is later than this listing.
_BEGIN = """
INSERT INTO pipeline_bookmarks AS known (ledger, bucket, pattern, start_after, listed_in_full_at)
VALUES (:ledger, :bucket, :pattern, '', 'epoch')
ON CONFLICT (ledger, bucket, pattern) DO UPDATE SET start_after = known.start_after
RETURNING start_after, listed_in_full_at, clock_timestamp() AS began"""
# What a listing of all keys found replaces what an earlier one found; it needs no other to be true.
_SAVE_ALL = """
UPDATE pipeline_bookmarks SET start_after = :start_after, listed_in_full_at = :began
WHERE ledger = :ledger AND bucket = :bucket AND pattern = :pattern
    AND (listed_in_full_at <= :began OR listed_in_full_at = :known_at)"""
# What a listing after a bookmark found is true only while that bookmark is.
_SAVE_NEXT = """
UPDATE pipeline_bookmarks SET start_after = :start_after
WHERE ledger = :ledger AND bucket = :bucket AND pattern = :pattern
    AND start_after = :known AND listed_in_full_at = :known_at"""
_RESET = """
UPDATE pipeline_bookmarks SET start_after = '', listed_in_full_at = clock_timestamp()
WHERE ledger = :ledger AND bucket = :bucket"""


@attrs.frozen
class Listing:
    """A listing that begins now.

    Attributes:
        start_after: only keys after this one are listed; empty for all of them.
        began: now, by the database's clock.
        known: the bookmark that was stored; empty for none.
        known_at: when the last listing of all keys began.
    """

    start_after: str
    began: datetime
    known: str
    known_at: datetime


class Bookmarks:
    """The bookmark of one ledger for one pattern of keys in a bucket.

    Args:
        db: the database.
        ledger: the name of the ledger.
        bucket: the bucket.
        pattern: the prefix or glob whose objects are listed.
    """

    def __init__(self, db: Postgres, ledger: str, bucket: str, pattern: str) -> None:
        self._db = db
        self._names = {"ledger": ledger, "bucket": bucket, "pattern": pattern}

    def begin(self, list_all_every: timedelta) -> Listing:
        """The listing that is due: from the bookmark, or of all keys if the last one of these is too long ago."""

        def read(connection: sa.Connection) -> Listing:
            found = connection.execute(sa.text(_BEGIN), self._names).one()
            is_current = timedelta(0) <= found.began - found.listed_in_full_at < list_all_every
            start_after = found.start_after if is_current else ""
            return Listing(start_after, found.began, found.start_after, found.listed_in_full_at)

        return in_transaction(self._db, read)

    def save(self, listing: Listing, start_after: str) -> None:
        """Sets the bookmark when a listing ended: up to this key all that it listed is settled, and old enough.

        Not if the bookmark was reset since, or another listing has set it that this one knows nothing of.
        """
        statement = _SAVE_NEXT if listing.start_after else _SAVE_ALL
        values = {"start_after": start_after, "began": listing.began}
        known = {"known": listing.known, "known_at": listing.known_at}
        arguments = self._names | values | known
        in_transaction(self._db, lambda connection: connection.execute(sa.text(statement), arguments))


def reset_bookmarks(connection: sa.Connection, ledger: str, bucket: str) -> None:
    """Makes the next listing one of all keys, and what listings that run now will save without effect."""
    connection.execute(sa.text(_RESET), {"ledger": ledger, "bucket": bucket})
