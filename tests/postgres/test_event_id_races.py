"""Writers that bring one id at once: one row is stored, and each of them gets the result that the later one is due."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from monthly_events import LAYOUTS, MARCH, event, load, migrated
from table_contents import load_rows, rows_of

import holded_pipeline as hp
from holded_pipeline.postgres.event_row import PRODUCED_COLUMNS
from holded_pipeline.postgres.tables import business_events


@pytest.fixture(params=LAYOUTS)
def tables(db, request):
    return migrated(db, request.param)


@pytest.fixture
def by_month(db):
    return migrated(db, "by month")


def test_four_writers_of_the_same_ids_store_each_id_once(tables):
    start = threading.Barrier(4)

    def write(writer):
        start.wait()
        rejected = Counter()
        for turn in range(8):
            numbers = {(turn * 25 + step * 7) % 300 for step in range(60)}
            rows = [event(f"e{n}", MARCH + timedelta(days=31 * (writer % 2)), company_id=f"c{n % 5}") for n in numbers]
            done = load_rows(tables, business_events, rows, same=PRODUCED_COLUMNS)
            rejected.update(each.reason for _, each in done.rejected)
            rejected["inserted"] += done.inserted
        return rejected

    with ThreadPoolExecutor(4) as pool:
        total = sum(pool.map(write, range(4)), Counter())
    ((stored, ids),) = rows_of(tables, "SELECT count(*), count(DISTINCT event_id) FROM business_events")
    assert total["inserted"] == stored == ids
    assert total["id_conflict"] > 0
    assert set(total) == {"inserted", "id_conflict"}
    assert hp.verify_analytics(tables) == []


@pytest.mark.parametrize("others", [[], [event("b")]], ids=["alone", "with another"])
def test_a_writer_that_comes_second_waits_and_finds_the_conflict(by_month, others):
    """Neither sees the other's row when it begins: the unique index of the ids decides."""
    engine = by_month.engine(poolclass=sa.NullPool)
    with ThreadPoolExecutor(1) as pool, engine.connect() as first:
        first.execute(
            sa.text(
                "INSERT INTO business_events (event_id, event_type, company_id, occurred_at, business_context, data, "
                "metadata) VALUES ('a', 't', 'c', '2026-01-01Z', 'x', '{}', '{}')"
            )
        )
        second = pool.submit(load, by_month, [event("a"), *others])
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        while rows_of(by_month, waiting) == [(0,)]:
            assert not second.done()
        first.commit()
        assert second.result(30) == ((len(others), 0, 0), {0: "id_conflict"})


def test_an_event_that_another_writer_moves_meanwhile_is_updated_where_it_is(by_month):
    """When the second begins, it sees the event in its old month, where it is no more when the first commits."""
    load(by_month, [event("a")])
    engine = by_month.engine(poolclass=sa.NullPool)
    with ThreadPoolExecutor(1) as pool, engine.connect() as first:
        first.execute(sa.text("UPDATE business_events SET occurred_at = '2026-04-02Z'"))
        second = pool.submit(load, by_month, [event("a", data={"n": 2})], "update")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        while rows_of(by_month, waiting) == [(0,)]:
            assert not second.done()
        first.commit()
        assert second.result(30) == ((0, 1, 0), {})
    assert rows_of(by_month, "SELECT occurred_at, data ->> 'n' FROM business_events") == [(MARCH, "2")]


def test_writers_that_move_the_same_events_reject_only_bad_rows(tables):
    def write(writer):
        chance = random.Random(writer)
        rejected = Counter()
        for turn in range(3):
            months = [MARCH + timedelta(days=days) for days in (-40, 0, 31, 40)]
            rows = [
                event(f"e{n}", chance.choice(months), company_id=f"c{chance.randrange(4)}")
                for n in chance.sample(range(40), 12)
            ]
            rows += [event("bad", data_quality_score="NaN")] * (turn == 0)
            done = load_rows(tables, business_events, rows, on_conflict="update", keep="last")
            rejected.update(each.reason for _, each in done.rejected)
            rejected["inserted"] += done.inserted
        return rejected

    with ThreadPoolExecutor(3) as pool:
        total = sum(pool.map(write, range(3)), Counter())
    assert set(total) == {"inserted", "check_violation"}
    ids = "SELECT count(*), count(DISTINCT event_id) FROM business_events"
    assert rows_of(tables, ids) == [(total["inserted"], total["inserted"])]
    assert hp.verify_analytics(tables) == []
