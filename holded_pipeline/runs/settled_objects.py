"""The entries of a ledger, as SQL. Keys are compared by their bytes, which is the order of a listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.bookmarks import reset_bookmarks
from holded_pipeline.runs.run_database import in_transaction
from holded_pipeline.store.read_plan import StoredObject

PAGE = 10_000
"""How many objects are looked up at a time."""

# Each key is a lookup in the index of the primary key, however many entries a ledger has: the LATERAL with its LIMIT
# keeps it so, whatever the planner believes of the arrays.
NEW_OF = """
SELECT listed.place FROM unnest(CAST(:keys AS text[]), CAST(:etags AS text[])) WITH ORDINALITY
    AS listed(key, etag, place)
LEFT JOIN LATERAL (
    SELECT 1 AS is_settled FROM pipeline_settled_objects AS settled
    WHERE settled.ledger = :ledger AND settled.bucket = :bucket AND settled.key = listed.key COLLATE "C"
        AND settled.etag = listed.etag LIMIT 1
) AS known ON true
WHERE known.is_settled IS NULL ORDER BY listed.place"""

_PAGE_OF = """
SELECT key, etag, run_id, settled_at FROM pipeline_settled_objects
WHERE ledger = :ledger AND bucket = :bucket AND (key, etag) > (CAST(:key AS text) COLLATE "C", :etag)
    AND key >= CAST(:prefix AS text) COLLATE "C" AND starts_with(key, :prefix)
ORDER BY key, etag LIMIT :limit"""

_DELETE = """
DELETE FROM pipeline_settled_objects AS settled
USING unnest(CAST(:keys AS text[]), CAST(:etags AS text[])) AS gone(key, etag)
WHERE settled.ledger = :ledger AND settled.bucket = :bucket AND settled.key = gone.key COLLATE "C"
    AND settled.etag = gone.etag"""


@attrs.frozen
class SettledObject:
    """An entry of a ledger: a version of an object that is not read again.

    Attributes:
        bucket: of the object.
        key: of the object.
        etag: the version.
        run_id: the run that settled it.
        settled_at: when; aware.
    """

    bucket: str
    key: str
    etag: str
    run_id: str
    settled_at: datetime


class SettledObjects:
    """The entries of one ledger for one bucket; holds a connection until it is closed."""

    def __init__(self, db: Postgres, ledger: str, bucket: str) -> None:
        self._db = db
        self._names = {"ledger": ledger, "bucket": bucket}
        self._engine = db.engine(pool_size=1, max_overflow=1, pool_pre_ping=False)

    def close(self) -> None:
        """Closes the connection."""
        self._engine.dispose()

    def new_of(self, objects: Sequence[StoredObject]) -> list[StoredObject]:
        """Those that are not settled at this version, in their order."""
        keys, etags = [each.key for each in objects], [each.etag for each in objects]
        arguments = {**self._names, "keys": keys, "etags": etags}

        def query(connection: sa.Connection) -> list[StoredObject]:
            places = connection.execute(sa.text(NEW_OF), arguments).scalars()
            return [objects[place - 1] for place in places]

        return in_transaction(self._db, query, engine=self._engine)

    def entries(self, prefix: str) -> Iterator[SettledObject]:
        """The entries of keys with a prefix, in the order of keys; a page at a time."""
        after = ("", "")
        while True:
            page = in_transaction(self._db, partial(self._page, prefix, after), engine=self._engine)
            yield from page
            if len(page) < PAGE:
                return
            after = (page[-1].key, page[-1].etag)

    def _page(self, prefix: str, after: tuple[str, str], connection: sa.Connection) -> list[SettledObject]:
        arguments = {**self._names, "prefix": prefix, "key": after[0], "etag": after[1], "limit": PAGE}
        rows = connection.execute(sa.text(_PAGE_OF), arguments).all()
        return [SettledObject(self._names["bucket"], *row) for row in rows]

    def delete(self, entries: Sequence[SettledObject]) -> int:
        """Deletes entries, and resets the bookmarks that were set while they stood; returns how many entries."""
        keys, etags = [each.key for each in entries], [each.etag for each in entries]

        def delete(connection: sa.Connection) -> int:
            reset_bookmarks(connection, self._names["ledger"], self._names["bucket"])
            return connection.execute(sa.text(_DELETE), {**self._names, "keys": keys, "etags": etags}).rowcount

        return in_transaction(self._db, delete, engine=self._engine)
