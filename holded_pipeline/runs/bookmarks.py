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

_NOW = sa.text("SELECT clock_timestamp()")
_READ = """
SELECT start_after, listed_in_full_at FROM pipeline_bookmarks
WHERE ledger = :ledger AND bucket = :bucket AND pattern = :pattern"""
_WRITE = """
INSERT INTO pipeline_bookmarks (ledger, bucket, pattern, start_after, listed_in_full_at)
VALUES (:ledger, :bucket, :pattern, :start_after, :listed_in_full_at)
ON CONFLICT (ledger, bucket, pattern) DO UPDATE
SET start_after = excluded.start_after, listed_in_full_at = excluded.listed_in_full_at"""


@attrs.frozen
class Listing:
    """A listing that begins now.

    Attributes:
        start_after: only keys after this one are listed; empty for all of them.
        began: now, by the database's clock.
        listed_in_full_at: when the last listing of all keys began; this one, if it is one.
    """

    start_after: str
    began: datetime
    listed_in_full_at: datetime


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
            now = connection.execute(_NOW).scalar_one()
            found = connection.execute(sa.text(_READ), self._names).one_or_none()
            if found is None or now - found.listed_in_full_at >= list_all_every:
                return Listing("", now, now)
            return Listing(found.start_after, now, found.listed_in_full_at)

        return in_transaction(self._db, read)

    def save(self, listing: Listing, start_after: str) -> None:
        """Sets the bookmark when a listing ended: up to this key all that it listed is settled, and old enough."""
        arguments = {**self._names, "start_after": start_after, "listed_in_full_at": listing.listed_in_full_at}
        in_transaction(self._db, lambda connection: connection.execute(sa.text(_WRITE), arguments))
