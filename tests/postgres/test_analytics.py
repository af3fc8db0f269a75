"""The summaries match the events after loads, updates and deletes, by any number of writers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from table_contents import load_rows, many_loads, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.tables import business_events

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(number, **changes):
    return {
        "event_id": f"e{number}",
        "event_type": f"t{number % 4}",
        "company_id": f"c{number % 7}",
        "user_id": None,
        "occurred_at": NOON + timedelta(seconds=number * 37 % 101),
        "business_context": ("wallet", "invoicing")[number % 2],
        "data_quality_score": None if number % 5 == 0 else (number % 11) / 10,
        "data": {"n": number},
        "metadata": {},
        "source": None,
        **changes,
    }


def load_events(db, rows, **settings):
    return load_rows(db, business_events, rows, **settings)


@pytest.fixture
def tables(db):
    hp.migrate(db)
    return db


def test_after_a_first_and_a_repeated_load(tables):
    rows = [row(number) for number in range(500)]
    assert load_events(tables, rows).inserted == 500
    assert hp.verify_analytics(tables) == []
    assert load_events(tables, rows).duplicates == 500
    assert hp.verify_analytics(tables) == []


@pytest.mark.parametrize("on_conflict", ["ignore", "update"])
def test_after_four_writers_at_once_on_overlapping_events(tables, on_conflict):
    start = threading.Barrier(4)

    def write(writer):
        start.wait()
        total = 0
        for turn in range(12):
            numbers = [(writer * 13 + turn * 40 + step * 7) % 600 for step in range(150)]
            rows = [row(number, data={"writer": writer}, company_id=f"c{(number + turn) % 5}") for number in numbers]
            total += load_events(tables, rows, on_conflict=on_conflict).inserted
        return total

    with ThreadPoolExecutor(4) as pool:
        inserted = sum(pool.map(write, range(4)))
    assert rows_of(tables, "SELECT count(*) FROM business_events") == [(inserted,)]
    assert hp.verify_analytics(tables) == []


def test_after_updates_and_deletes_by_other_clients(tables):
    load_events(tables, [row(number) for number in range(200)])
    for statement in (
        "UPDATE business_events SET company_id = 'c3' WHERE company_id = 'c1'",
        "UPDATE business_events SET event_type = 'new', data_quality_score = 1 WHERE event_type = 't2'",
        "UPDATE business_events SET data_quality_score = NULL WHERE company_id = 'c4'",
        "UPDATE business_events SET occurred_at = occurred_at - interval '1 year' WHERE event_id = 'e7'",
        "UPDATE business_events SET event_id = event_id || 'x' WHERE event_id < 'e2'",
        "DELETE FROM business_events WHERE company_id = 'c5'",
        "DELETE FROM business_events WHERE occurred_at = (SELECT max(occurred_at) FROM business_events)",
        "DELETE FROM business_events WHERE occurred_at = (SELECT min(occurred_at) FROM business_events)",
    ):
        run_statements(tables, statement)
        assert hp.verify_analytics(tables) == [], statement
    run_statements(tables, "TRUNCATE business_events")
    assert hp.verify_analytics(tables) == []
    assert rows_of(tables, "SELECT count(*) FROM company_analytics") == [(0,)]


def test_after_a_score_with_many_digits_is_deleted(tables):
    load_events(tables, [row(n, company_id="c", event_type="t", data_quality_score=n % 2) for n in range(3)])
    load_events(
        tables, [row(9, company_id="c", event_type="t", data_quality_score=Decimal("0.12345678901234567890123"))]
    )
    assert hp.verify_analytics(tables) == []
    run_statements(tables, "DELETE FROM business_events WHERE event_id = 'e9'")
    assert hp.verify_analytics(tables) == []


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_no_sum_could_lose_again_is_rejected(tables, score):
    done = load_events(tables, [row(1), row(2, data_quality_score=Decimal(score))])
    ((position, rejection),) = done.rejected
    assert (done.inserted, position, rejection.reason) == (1, 1, "check_violation")


def test_triggers_ignore_temporary_tables_of_the_writer(tables):
    engine = tables.engine(poolclass=sa.NullPool)
    with engine.begin() as connection:
        for name in ("company_analytics", "event_type_summaries", "event_type_companies"):
            connection.execute(sa.text(f"CREATE TEMPORARY TABLE {name} (LIKE public.{name} INCLUDING ALL)"))
        connection.execute(
            sa.text(
                "INSERT INTO business_events (event_id, event_type, company_id, occurred_at, business_context, data, "
                "metadata) VALUES ('e', 't', 'c', now(), 'x', '{}', '{}')"
            )
        )
    assert hp.verify_analytics(tables) == []


def test_in_a_schema_of_any_name_and_for_writers_with_another_search_path(db):
    run_statements(db, 'CREATE SCHEMA "Ünï order"')
    there = hp.Postgres(db.url + "?options=" + quote(r'-csearch_path="Ünï\ order"'))
    hp.migrate(there)
    load_events(there, [row(number) for number in range(20)])
    run_statements(db, "UPDATE \"Ünï order\".business_events SET company_id = 'c0'")
    assert hp.verify_analytics(there) == []
    assert rows_of(there, "SELECT total_events FROM company_analytics") == [(20,)]


def test_a_wrong_summary_is_found(tables):
    load_events(tables, [row(number) for number in range(20)])
    run_statements(tables, "UPDATE company_analytics SET total_events = total_events + 1 WHERE company_id = 'c1'")
    run_statements(tables, "DELETE FROM event_type_summaries WHERE event_type = 't2'")
    found = {(d.table, d.key, d.column) for d in hp.verify_analytics(tables)}
    assert ("company_analytics", "c1", "total_events") in found
    assert ("event_type_summaries", "t2", "total_count") in found


keys = st.integers(0, 12)
changes = st.fixed_dictionaries(
    {},
    optional={
        "company_id": st.sampled_from(["c0", "c1", "Ünï", ""]),
        "event_type": st.sampled_from(["t0", "t1"]),
        "data_quality_score": st.none() | st.decimals(0, 1, places=3),
        "business_context": st.sampled_from(["wallet", "other", "q'u\"o"]),
        "occurred_at": st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda t: t.replace(tzinfo=UTC)),  # noqa: DTZ001  made aware beside
    },
)
steps = st.one_of(
    st.tuples(st.just("load"), st.lists(st.tuples(keys, changes), min_size=1, max_size=8)),
    st.tuples(st.just("update"), st.lists(st.tuples(keys, changes), min_size=1, max_size=8)),
    st.tuples(st.just("delete"), st.lists(keys, min_size=1, max_size=5)),
)


def test_after_any_mixture_of_loads_updates_and_deletes(tables):
    @settings(max_examples=25, deadline=None)
    @given(plan=st.lists(steps, min_size=1, max_size=6))
    def check(plan):
        run_statements(tables, "TRUNCATE business_events")
        for what, arguments in plan:
            if what == "delete":
                listed = ", ".join(f"'e{key}'" for key in arguments)
                run_statements(tables, f"DELETE FROM business_events WHERE event_id IN ({listed})")
            else:
                rows = [row(key, **change) for key, change in arguments]
                done = loads[what](rows)
                assert done.inserted + done.updated + done.duplicates == len(rows)
            assert hp.verify_analytics(tables) == []

    with (
        many_loads(tables, business_events) as load,
        many_loads(tables, business_events, on_conflict="update") as update,
    ):
        loads = {"load": load, "update": update}
        check()


def test_without_the_tables_the_error_says_what_to_do(bare_db):
    with pytest.raises(hp.ConfigurationError, match=r"does not exist.*hp.migrate\(db\)"):
        hp.verify_analytics(bare_db)
