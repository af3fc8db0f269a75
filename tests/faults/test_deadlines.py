"""Whatever PostgreSQL is asked, and wherever it falls silent: given up at the deadline, however far that is."""

from __future__ import annotations

import math
import threading

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

import holded_pipeline as hp
from holded_pipeline.enriching.lookup_table import TableSource
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.table_loader import TableLoader
from holded_pipeline.postgres.time_limit import TimeLimit

table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))
ROWS = [{"k": 1, "n": 1}, {"k": 2, "n": 2}]


def load(db, rows=ROWS):
    form, columns = RowFormat(table), ("k", "n")
    loader = TableLoader(db, table, on_conflict="ignore", keep="first")
    try:
        return loader.load(columns, [form.line(row, columns) for row in rows])
    finally:
        loader.close()


def look_up(db):
    rows = TableSource(db, "t", key="k", columns=None).open()
    try:
        return rows.fetch(["1"])
    finally:
        rows.close()


def ended(work, seconds=15):
    """What it raised, or returned; it must end by itself."""
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


FIRST_QUESTION = rb"pg_catalog\.version"
MOMENTS = {
    "a load, when SQLAlchemy asks its first question": (FIRST_QUESTION, load),
    "a load, when its rows are merged": (rb"WITH merged", load),
    "a migration, when SQLAlchemy asks its first question": (FIRST_QUESTION, hp.migrate),
    "a migration, when its version is looked up": (rb"holded_pipeline_version", hp.migrate),
    "a migration, when it makes a table": (rb"CREATE TABLE business_events", hp.migrate),
    "a migration, when it commits": (rb"COMMIT\x00", hp.migrate),
    "verify_analytics, when SQLAlchemy asks its first question": (FIRST_QUESTION, hp.verify_analytics),
    "verify_analytics, when it counts": (rb"company_analytics", hp.verify_analytics),
    "a lookup, when SQLAlchemy asks its first question": (FIRST_QUESTION, look_up),
    "a lookup, when the table is described": (rb"pg_catalog\.pg_attribute", look_up),
    "a lookup, when it asks for keys": (rb"ANY", look_up),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_that_falls_silent_is_left_at_the_deadline(database, query, proxy_to, moment):
    pattern, work = MOMENTS[moment]
    if work is not hp.migrate:
        hp.migrate(database)
        query(database, "CREATE TABLE t (k int PRIMARY KEY, n int)")
    url = make_url(database.url)
    proxy = proxy_to(url.port)
    proxy.upward = proxy.once(pattern, proxy.go_silent)
    there = hp.Postgres(
        url.set(port=proxy.port).render_as_string(), connect_timeout=1, retry=hp.Retry(1, first_wait=0.05)
    )
    error = ended(lambda: work(there))
    assert proxy.done
    assert isinstance(error, hp.TransientError)
    assert "did not answer within 1 s" in str(error)


@pytest.mark.parametrize("work", [hp.verify_analytics, look_up], ids=["verify_analytics", "a lookup"])
@pytest.mark.usefixtures("tables")
def test_a_table_that_is_locked_is_left_at_the_deadline(database, work):
    impatient = attrs.evolve(database, connect_timeout=1, retry=hp.Retry(1))
    with database.engine(poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql("LOCK TABLE business_events, t IN ACCESS EXCLUSIVE MODE")
        error = ended(lambda: work(impatient))
    assert isinstance(error, hp.TransientError)


@pytest.mark.parametrize("deadline", [30 * 86_400, 10**12, math.inf], ids=["30 days", "ages", "for ever"])
@pytest.mark.usefixtures("tables")
def test_any_patience_will_do(database, deadline):
    patient = attrs.evolve(database, retry=hp.Retry(deadline))
    assert load(patient).inserted == 2
    hp.migrate(patient)
    assert hp.verify_analytics(patient) == []
    assert look_up(patient)["1"] == {"n": 1}


def test_the_store_takes_any_patience_too(lake):
    lake = attrs.evolve(lake, retry=hp.Retry(math.inf))
    assert hp.forecast(lake, "rejected/", []).matching == 0


@pytest.mark.parametrize("seconds", [math.nan, 0, -1])
@pytest.mark.parametrize("name", ["deadline", "first_wait", "longest_wait"])
def test_what_is_no_time_is_refused(name, seconds):
    with pytest.raises(ValueError, match=f"Retry.{name} must be more than 0 seconds"):
        hp.Retry(**{name: seconds})


@pytest.mark.parametrize("name", ["first_wait", "longest_wait"])
def test_an_endless_wait_is_refused(name):
    with pytest.raises(ValueError, match=f"Retry.{name} must be a number of seconds"):
        hp.Retry(**{name: math.inf})


@pytest.mark.usefixtures("tables")
def test_a_limit_leaves_nothing_behind_on_the_engine(database):
    engine = database.engine(pool_size=1, max_overflow=1, pool_pre_ping=False)
    listening = len(engine.pool.dispatch.connect)
    before = threading.active_count()
    for _ in range(3):
        with TimeLimit(60).connect(engine) as connection:
            connection.exec_driver_sql("SELECT 1")
    assert (len(engine.pool.dispatch.connect), threading.active_count()) == (listening, before)
    engine.dispose()
