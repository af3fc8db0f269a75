"""A call to PostgreSQL that gets no answer ends at the deadline, whatever the call is and however late that is."""

from __future__ import annotations

import math
import threading

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from table_contents import load_rows

import holded_pipeline as hp
from holded_pipeline.enriching.lookup_table import TableSource
from holded_pipeline.postgres.time_limit import TimeLimit

table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))
ROWS = [{"k": 1, "n": 1}, {"k": 2, "n": 2}]


def load_one_batch(db):
    return load_rows(db, table, ROWS)


def look_up(db):
    rows = TableSource(db, "t", key="k", columns=None).open()
    try:
        return rows.fetch(["1"])
    finally:
        rows.close()


def outcome_of(work, seconds=15):
    """What it returned or raised; fails if it does not end by itself."""
    found = []

    def run():
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001  whatever it is, the test shows it
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, f"still hanging after {seconds} s"
    return found[0]


@pytest.fixture
def tables(database, query):
    hp.migrate(database)
    query(database, "CREATE TABLE t (k int PRIMARY KEY, n int)")


FIRST_STATEMENT = rb"pg_catalog\.version"
MOMENTS = {
    "a load, when SQLAlchemy sends its first statement": (FIRST_STATEMENT, load_one_batch),
    "a load, when its rows are merged": (rb"WITH merged", load_one_batch),
    "a migration, when SQLAlchemy sends its first statement": (FIRST_STATEMENT, hp.migrate),
    "a migration, when its version is looked up": (rb"holded_pipeline_version", hp.migrate),
    "a migration, when it makes a table": (rb"CREATE TABLE business_events", hp.migrate),
    "a migration, when it commits": (rb"COMMIT\x00", hp.migrate),
    "verify_analytics, when SQLAlchemy sends its first statement": (FIRST_STATEMENT, hp.verify_analytics),
    "verify_analytics, when it counts": (rb"company_analytics", hp.verify_analytics),
    "a lookup, when SQLAlchemy sends its first statement": (FIRST_STATEMENT, look_up),
    "a lookup, when the table is described": (rb"pg_catalog\.pg_attribute", look_up),
    "a lookup, when it asks for keys": (rb"ANY", look_up),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_that_stops_answering_fails_at_the_deadline(database, query, proxy_to, moment):
    pattern, work = MOMENTS[moment]
    if work is not hp.migrate:
        hp.migrate(database)
        query(database, "CREATE TABLE t (k int PRIMARY KEY, n int)")
    url = make_url(database.url)
    proxy = proxy_to(url.port)
    proxy.upward = proxy.once(pattern, proxy.go_silent)
    there = hp.Postgres(
        url.set(port=proxy.port).render_as_string(),
        password=database.password,
        connect_timeout=1,
        retry=hp.Retry(1, first_wait=0.05),
    )
    error = outcome_of(lambda: work(there))
    assert proxy.done
    assert isinstance(error, hp.TransientError)
    assert "did not answer within 1 s" in str(error)


@pytest.mark.parametrize("work", [hp.verify_analytics, look_up], ids=["verify_analytics", "a lookup"])
@pytest.mark.usefixtures("tables")
def test_a_locked_table_fails_at_the_deadline(database, work):
    impatient = attrs.evolve(database, connect_timeout=1, retry=hp.Retry(1))
    with database.engine(poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql("LOCK TABLE business_events, t IN ACCESS EXCLUSIVE MODE")
        error = outcome_of(lambda: work(impatient))
    assert isinstance(error, hp.TransientError)


@pytest.mark.parametrize("deadline", [30 * 86_400, 10**12, math.inf], ids=["30 days", "ages", "for ever"])
@pytest.mark.usefixtures("tables")
def test_any_deadline_is_accepted(database, deadline):
    patient = attrs.evolve(database, retry=hp.Retry(deadline))
    assert load_one_batch(patient).inserted == 2
    hp.migrate(patient)
    assert hp.verify_analytics(patient) == []
    assert look_up(patient)["1"] == {"n": 1}


def test_the_store_accepts_any_deadline(lake):
    lake = attrs.evolve(lake, retry=hp.Retry(math.inf))
    assert hp.forecast(lake, "rejected/", []).matching == 0


@pytest.mark.parametrize("seconds", [math.nan, 0, -1])
@pytest.mark.parametrize("name", ["deadline", "first_wait", "longest_wait"])
def test_a_retry_without_positive_seconds_raises(name, seconds):
    with pytest.raises(ValueError, match=f"Retry.{name} must be more than 0 seconds"):
        hp.Retry(**{name: seconds})


@pytest.mark.parametrize("name", ["first_wait", "longest_wait"])
def test_an_infinite_wait_raises(name):
    with pytest.raises(ValueError, match=f"Retry.{name} must be a number of seconds"):
        hp.Retry(**{name: math.inf})


@pytest.mark.usefixtures("tables")
def test_a_time_limit_leaves_no_listener_and_no_thread(database):
    engine = database.engine(pool_size=1, max_overflow=1, pool_pre_ping=False)
    listening = len(engine.pool.dispatch.connect)
    before = threading.active_count()
    for _ in range(3):
        with TimeLimit(60).connect(engine) as connection:
            connection.exec_driver_sql("SELECT 1")
    assert (len(engine.pool.dispatch.connect), threading.active_count()) == (listening, before)
    engine.dispose()
