"""A bookmark hides nothing that was forgotten or found beside it, nor where a store lists in another order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from store_contents import put_object

import holded_pipeline as hp
from holded_pipeline.postgres.run_tables import pipeline_settled_objects
from holded_pipeline.runs.new_objects import NewObjects
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_plan import StoredObject

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
OLD = [StoredObject(f"raw/{number}", 10, "t", LONG_AGO) for number in range(5)]
MORE = [*OLD, StoredObject("raw/5", 10, "t", LONG_AGO), StoredObject("raw/6", 10, "t", LONG_AGO)]


@pytest.fixture
def ledger(db):
    hp.migrate(db)
    return hp.Ledger(db, "orders", keys_grow=True)


def settle(ledger, bucket, objects, settled_at=LONG_AGO):
    entries = [
        {"ledger": ledger.name, "bucket": bucket, "key": each.key, "etag": each.etag, "run_id": "r1"}
        | {"settled_at": settled_at}
        for each in objects
    ]
    with ledger.db.engine().begin() as connection:
        connection.execute(pipeline_settled_objects.insert(), entries)


def find(ledger, lake, objects):
    ordered = sorted(objects, key=lambda each: each.key)
    listing = NewObjects(ledger, lake.bucket, "raw/")
    return listing.find(lambda after: (each for each in ordered if each.key > after))


def keys_of(objects):
    return [each.key for each in objects]


@pytest.mark.parametrize("is_full", [True, False])
def test_forgetting_while_a_listing_runs_is_not_undone_by_it(ledger, lake, is_full):
    settle(ledger, lake.bucket, OLD)
    if not is_full:
        assert keys_of(find(ledger, lake, OLD[:2])) == []
    running = find(ledger, lake, MORE)
    assert next(running).key == "raw/5"  # everything was compared, the bookmark is not set yet
    assert ledger.forget(lake, "raw/3") == 1
    assert keys_of(running) == ["raw/6"]
    assert keys_of(find(ledger, lake, OLD)) == ["raw/3"]


def test_a_listing_beside_a_full_one_does_not_hide_what_that_found(ledger, lake):
    settle(ledger, lake.bucket, MORE[:-1])
    assert keys_of(find(ledger, lake, OLD)) == []
    running = find(ledger, lake, MORE)
    assert next(running).key == "raw/6"
    with ledger.db.engine().begin() as connection:
        connection.execute(sa.text("UPDATE pipeline_bookmarks SET listed_in_full_at = now() - interval '1 day'"))
    late = StoredObject("raw/2-late", 10, "t", LONG_AGO)
    assert keys_of(find(ledger, lake, [*MORE, late])) == ["raw/2-late", "raw/6"]
    assert keys_of(running) == []
    assert keys_of(find(ledger, lake, [*MORE, late])) == ["raw/2-late", "raw/6"]


@pytest.fixture
def by_level(ledger, lake):
    """Two settled objects that the store of the tests lists level by level: `a/x` before `a-b`."""
    for key in ("raw/a-b", "raw/a/x"):
        put_object(lake, key, b"{}")
    store = ObjectStore(lake)
    settle(ledger, lake.bucket, store.objects("raw/"))
    yield store
    store.close()


def test_a_store_with_another_order_is_listed_in_full_each_time(by_level, lake, db, caplog):
    ledger = hp.Ledger(db, "orders", keys_grow=True, overlap=timedelta(microseconds=1))

    def found():
        listing = NewObjects(ledger, lake.bucket, "raw/")
        return keys_of(listing.find(lambda after: by_level.objects("raw/", start_after=after)))

    assert found() == []
    assert "has no effect" in caplog.text
    put_object(lake, "raw/a/y", b"{}")
    assert found() == ["raw/a/y"]


def test_prune_deletes_nothing_where_the_order_of_the_listing_is_another(by_level, ledger, lake):
    with pytest.raises(hp.ConfigurationError, match="not in the order of their bytes"):
        ledger.prune(lake, "raw/", older_than=timedelta(0))
    assert len(list(ledger.settled(lake))) == 2
