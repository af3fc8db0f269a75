"""Servers that stop or crash during a run of the whole flow, and are back before or after the deadline."""

from __future__ import annotations

import re
import time

import attrs
import pytest
import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline import local

COPY_DATA, COMMIT = rb"^d....\d", rb"COMMIT\x00"
GET, PUT = rb"^GET /[^ ]*/raw/", rb"^PUT /[^ ]*/enriched/"
SHORT, LONG = hp.Retry(3, first_wait=0.05), hp.Retry(60, first_wait=0.05)


@pytest.fixture(scope="module")
def stack():
    """Servers for these tests only, since they are stopped."""
    with local.stack() as running:
        yield running


def test_postgres_stopped_and_crashed_and_back_before_the_deadline(stack, store, accounts, flow, cut_postgres):
    db, proxy = cut_postgres

    def restart(how):
        stack.stop_postgres(how)
        stack.start_postgres()
        return "cut"

    proxy.upward = proxy.at_each({COPY_DATA: lambda: restart("stop"), COMMIT: lambda: restart("crash")})
    counts = flow(store, attrs.evolve(db, retry=LONG), "r1")
    assert set(proxy.done) == {COPY_DATA, COMMIT}
    assert counts["write.inserted"] == len(accounts.good)
    accounts.assert_complete()


@pytest.mark.parametrize("committed", [False, True], ids=["before COMMIT", "after COMMIT"])
def test_a_commit_lost_in_a_crash_is_found_missing(
    stack, store, accounts, flow, cut_postgres, query, database, committed
):
    """A transaction that was not on disk is lost with its number, and the next transactions get the same numbers."""
    db, proxy = cut_postgres
    for setting in ("ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()"):
        query(stack.superuser(database), setting)

    def crash():
        stack.stop_postgres("crash")
        stack.start_postgres()
        wait_for(lambda: query(database, "CREATE TABLE others (n int)") == [])
        for _ in range(30):
            query(database, "INSERT INTO others VALUES (1)")
        return "cut"

    at_commit = proxy.once(COMMIT, crash)
    loading = []

    def upward(data):
        if re.match(COPY_DATA, data, re.DOTALL):
            loading.append(data)
        if loading and not committed:
            return at_commit(data)
        return "pass"

    proxy.upward = upward
    proxy.downward = lambda data: at_commit(data) if loading and committed else "pass"
    hp.migrate(database)
    query(stack.superuser(database), "CHECKPOINT")
    counts = flow(store, attrs.evolve(db, retry=LONG), "r1")
    assert proxy.done
    assert counts["write.inserted"] == len(accounts.good)
    accounts.assert_complete()


def wait_for(done):
    deadline = time.monotonic() + 20
    while True:
        try:
            if done():
                return
        except sa.exc.OperationalError:  # sessions of the server before are still ending
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def test_postgres_back_after_the_deadline(stack, store, accounts, flow, cut_postgres, database):
    db, proxy = cut_postgres
    proxy.upward = proxy.once(COPY_DATA, lambda: (stack.stop_postgres("crash"), "cut")[1])
    try:
        with pytest.raises(hp.TransientError, match="PostgreSQL .* did not answer within 3 s.*Nothing was rejected"):
            flow(store, attrs.evolve(db, retry=SHORT), "r1")
        assert proxy.done
    finally:
        stack.start_postgres()
    accounts.assert_only_faulty_rejected()
    flow(store, database, "r2")
    accounts.assert_complete()
    before = accounts.all_tables()
    counts = flow(store, database, "r3")
    assert (counts.get("write.inserted"), counts["write.duplicates"]) == (None, len(accounts.good))
    assert accounts.all_tables() == before


def test_the_store_crashed_and_stopped_and_back_before_the_deadline(stack, accounts, flow, cut_store, database):
    lake, proxy = cut_store

    def restart(how):
        stack.stop_minio(how)
        stack.start_minio()
        return "cut"

    proxy.upward = proxy.at_each({GET: lambda: restart("crash"), PUT: lambda: restart("stop")})
    counts = flow(attrs.evolve(lake, retry=LONG), database, "r1")
    assert set(proxy.done) == {GET, PUT}
    stack.start_minio()  # it may have answered the flow before all of it was back
    assert counts["write.inserted"] == len(accounts.good)
    accounts.assert_complete()


@pytest.mark.parametrize("moment", [GET, PUT], ids=["reading", "writing"])
def test_the_store_back_after_the_deadline(stack, accounts, flow, cut_store, database, moment):
    lake, proxy = cut_store
    proxy.upward = proxy.once(moment, lambda: (stack.stop_minio("crash"), "cut")[1])
    try:
        with pytest.raises(hp.TransientError, match="object store .* did not answer within 3 s.*Nothing was rejected"):
            flow(attrs.evolve(lake, retry=SHORT), database, "r1")
        assert proxy.done
    finally:
        stack.start_minio()
    accounts.assert_only_faulty_rejected()
    # After a crash SeaweedFS may take more than 10 s over a first write.
    flow(attrs.evolve(lake, timeout=20, retry=LONG), database, "r2")
    accounts.assert_complete()
