"""The summaries say what the events say, after whatever was done to the events and by however many."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.table_loader import TableLoader
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


def load(db, rows, **settings):
    loader = TableLoader(db, business_events, **({"on_conflict": "ignore", "keep": "first"} | settings))
    form = RowFormat(business_events)
    columns = form.columns(rows[0])
    try:
        return loader.load(columns, [form.line(each, columns) for each in rows])
    finally:
        loader.close()


def execute(db, *texts):
    engine = db.engine(poolclass=sa.NullPool)
    with engine.begin() as connection:
        return [connection.execute(sa.text(text)) for text in texts]


@pytest.fixture
def tables(db):
    hp.migrate(db)
    return db


def test_after_a_first_and_a_repeated_load(tables):
    rows = [row(number) for number in range(500)]
    assert load(tables, rows).inserted == 500
    assert hp.verify_analytics(tables) == []
    assert load(tables, rows).duplicates == 500
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
            total += load(tables, rows, on_conflict=on_conflict).inserted
        return total

    with ThreadPoolExecutor(4) as pool:
        inserted = sum(pool.map(write, range(4)))
    (result,) = execute(tables, "SELECT count(*) FROM business_events")
    assert result.scalar_one() == inserted
    assert hp.verify_analytics(tables) == []


def test_after_updates_and_deletes_by_anybody(tables):
    load(tables, [row(number) for number in range(200)])
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
        execute(tables, statement)
        assert hp.verify_analytics(tables) == [], statement
    execute(tables, "TRUNCATE business_events")
    assert hp.verify_analytics(tables) == []
    assert execute(tables, "SELECT count(*) FROM company_analytics")[0].scalar_one() == 0


def test_after_a_score_with_many_digits_went(tables):
    load(tables, [row(n, company_id="c", event_type="t", data_quality_score=n % 2) for n in range(3)])
    load(tables, [row(9, company_id="c", event_type="t", data_quality_score=Decimal("0.12345678901234567890123"))])
    assert hp.verify_analytics(tables) == []
    execute(tables, "DELETE FROM business_events WHERE event_id = 'e9'")
    assert hp.verify_analytics(tables) == []


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_no_sum_could_lose_again_is_refused(tables, score):
    done = load(tables, [row(1), row(2, data_quality_score=Decimal(score))])
    ((place, fault),) = done.refused
    assert (done.inserted, place, fault.reason) == (1, 1, "check_violation")


def test_a_writers_own_temporary_tables_are_not_taken_for_the_summaries(tables):
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
    execute(db, 'CREATE SCHEMA "Ünï order"')
    there = hp.Postgres(db.url + "?options=" + quote(r'-csearch_path="Ünï\ order"'))
    hp.migrate(there)
    load(there, [row(number) for number in range(20)])
    execute(db, "UPDATE \"Ünï order\".business_events SET company_id = 'c0'")
    assert hp.verify_analytics(there) == []
    assert execute(there, "SELECT total_events FROM company_analytics")[0].scalar_one() == 20


def test_a_summary_that_is_wrong_is_found(tables):
    load(tables, [row(number) for number in range(20)])
    execute(tables, "UPDATE company_analytics SET total_events = total_events + 1 WHERE company_id = 'c1'")
    execute(tables, "DELETE FROM event_type_summaries WHERE event_type = 't2'")
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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(steps, min_size=1, max_size=6))
def test_after_any_mixture_of_loads_updates_and_deletes(tables, plan):
    execute(tables, "TRUNCATE business_events")
    for what, arguments in plan:
        if what == "delete":
            listed = ", ".join(f"'e{key}'" for key in arguments)
            execute(tables, f"DELETE FROM business_events WHERE event_id IN ({listed})")
        else:
            rows = [row(key, **change) for key, change in arguments]
            done = load(tables, rows, on_conflict="update" if what == "update" else "ignore")
            assert done.inserted + done.updated + done.duplicates == len(rows)
        assert hp.verify_analytics(tables) == []


def test_without_the_tables_it_says_what_to_do(db):
    with pytest.raises(hp.ConfigurationError, match=r"does not exist.*migrate\(\)"):
        hp.verify_analytics(db)
