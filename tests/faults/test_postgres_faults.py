"""PostgreSQL backends that end, freeze or lock during a load, and broken connections: no row is lost or rejected."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.event_row import event_row
from holded_pipeline.postgres.table_loader import TableLoader
from holded_pipeline.postgres.tables import business_events

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COPY_DATA, COMMIT = rb"^d....\d", rb"COMMIT\x00"
ROWS = 600


def batch(first=0, poison=()):
    form = RowFormat(business_events)
    events = [
        hp.Event(f"e{n}", f"t{n % 3}", f"c{n % 5}", NOON + timedelta(seconds=n), {"n": n, "text": "x" * 200})
        for n in range(first, first + ROWS)
    ]
    rows = [event_row(event) for event in events]
    for position in poison:
        rows[position]["event_type"] = None
    columns = form.columns(rows[0])
    return columns, [form.line(row, columns) for row in rows]


def load_batch(db, *, poison=()):
    loader = TableLoader(db, business_events, on_conflict="ignore", keep="first")
    try:
        return loader.load(*batch(poison=poison))
    finally:
        loader.close()


def counts(loaded):
    return loaded.inserted, loaded.updated, loaded.duplicates, len(loaded.rejected)


def impatient(db, seconds=1.0):
    return attrs.evolve(db, connect_timeout=1, retry=hp.Retry(seconds, first_wait=0.05))


def count_events(query, db):
    return query(db, "SELECT count(*), count(DISTINCT event_id) FROM business_events")[0]


@pytest.fixture(autouse=True)
def migrated(database):
    hp.migrate(database)


def end_backends(query, database):
    query(
        database,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    return "pass"


RAISES = """CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'the message' USING ERRCODE = '{state}'; END IF;
    RETURN NULL; END $$"""


def fail_with(query, database, state, times):
    query(database, "CREATE SEQUENCE tries")
    query(database, RAISES.format(state=state, times=times))
    query(database, "CREATE TRIGGER fail BEFORE INSERT ON business_events FOR EACH STATEMENT EXECUTE FUNCTION fail()")


OUTAGES = ("08006", "25006", "40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "57P01", "57P03", "58030")
SETTINGS = {"28000": "user and the password", "3D000": "create the database", "3F000": "create the schema"} | {
    "42501": "grant the user INSERT", "42P01": "create the table", "42703": "lacks a column", "42P10": "unique"
}  # fmt: skip


def test_an_outage_is_retried_and_changes_nothing(query, database):
    """One SQLSTATE of each class, one after the other."""
    query(database, "CREATE SEQUENCE tries")
    query(
        database,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE state text; BEGIN "
        f"state := ('{{{','.join(OUTAGES)}}}'::text[])[nextval('tries')]; "
        "IF state IS NOT NULL THEN RAISE EXCEPTION 'the message' USING ERRCODE = state; END IF; RETURN NULL; END $$",
    )
    query(database, "CREATE TRIGGER fail BEFORE INSERT ON business_events FOR EACH STATEMENT EXECUTE FUNCTION fail()")
    eager = attrs.evolve(database, retry=hp.Retry(60, first_wait=0.01, longest_wait=0.02))
    assert counts(load_batch(eager)) == (ROWS, 0, 0, 0)
    assert query(database, "SELECT last_value FROM tries") == [(len(OUTAGES) + 1,)]
    assert hp.verify_analytics(database) == []


@pytest.mark.parametrize("state", ["53100", "57P03", "40001"])
def test_an_outage_past_the_deadline_names_server_and_cause(query, database, state):
    fail_with(query, database, state, 10**9)
    with pytest.raises(hp.TransientError, match=rf"{database}.*within 0\.2 s.*the message"):
        load_batch(impatient(database, 0.2))
    assert count_events(query, database) == (0, 0)


@pytest.mark.parametrize("state", SETTINGS)
def test_a_wrong_setting_fails_at_the_first_attempt(query, database, state):
    fail_with(query, database, state, 10**9)
    with pytest.raises(hp.ConfigurationError, match=f"{state}.*{SETTINGS[state]}"):
        load_batch(database)
    assert query(database, "SELECT last_value FROM tries") == [(1,)]


@pytest.mark.parametrize("poison", [(), (17, 333)], ids=["good", "poisoned"])
@pytest.mark.parametrize("moment", [COPY_DATA, COMMIT], ids=["in COPY", "before COMMIT"])
def test_a_terminated_backend_costs_an_attempt(query, database, cut_postgres, moment, poison):
    db, proxy = cut_postgres
    proxy.upward = proxy.once(moment, lambda: end_backends(query, database))
    assert counts(load_batch(db, poison=poison)) == (ROWS - len(poison), 0, 0, len(poison))
    assert proxy.done
    assert count_events(query, database) == (ROWS - len(poison),) * 2
    assert hp.verify_analytics(database) == []


@pytest.mark.parametrize("poison", [(), (17, 333)], ids=["good", "poisoned"])
@pytest.mark.parametrize("action", ["cut", "deaf"], ids=["COMMIT lost", "its answer lost"])
def test_a_commit_without_an_answer_is_looked_up_and_counted(query, database, cut_postgres, action, poison):
    """Committed or not, the rows count as `inserted`; a guess would count duplicates or lose them."""
    db, proxy = cut_postgres
    proxy.upward = proxy.once(COMMIT, action)
    assert counts(load_batch(db, poison=poison)) == (ROWS - len(poison), 0, 0, len(poison))
    assert proxy.done
    assert count_events(query, database) == (ROWS - len(poison),) * 2
    assert hp.verify_analytics(database) == []


def test_a_commit_without_an_answer_is_looked_up_until_known(query, database, cut_postgres):
    db, proxy = cut_postgres
    proxy.upward = proxy.once(rb"COMMIT\x00|pg_xact_status", lambda: "deaf" if len(proxy.done) == 1 else "cut", times=4)
    assert counts(load_batch(db)) == (ROWS, 0, 0, 0)
    assert len(proxy.done) == 4
    assert count_events(query, database) == (ROWS, ROWS)


@pytest.mark.parametrize("direction", ["upward", "downward"])
def test_a_connection_that_breaks_during_a_load_costs_an_attempt(query, database, cut_postgres, direction):
    db, proxy = cut_postgres
    setattr(proxy, direction, proxy.once(COPY_DATA if direction == "upward" else b"COPY 600", "half"))
    assert counts(load_batch(db)) == (ROWS, 0, 0, 0)
    assert proxy.done
    assert count_events(query, database) == (ROWS, ROWS)
    assert hp.verify_analytics(database) == []


@pytest.mark.parametrize("moment", [COPY_DATA, COMMIT], ids=["in COPY", "at COMMIT"])
def test_a_network_that_drops_every_packet_fails_at_the_deadline(query, database, cut_postgres, moment):
    db, proxy = cut_postgres
    proxy.upward = proxy.once(moment, proxy.go_silent)
    began = time.monotonic()
    with pytest.raises(hp.TransientError, match="did not answer within 1 s"):
        load_batch(impatient(db))
    assert time.monotonic() - began < 30  # forever, otherwise
    proxy.silent.clear()
    again = load_batch(db)
    assert (again.inserted + again.duplicates, again.rejected) == (ROWS, ())
    assert count_events(query, database) == (ROWS, ROWS)
    assert hp.verify_analytics(database) == []


def test_a_frozen_server_fails_at_the_deadline(query, database, cut_postgres):
    db, proxy = cut_postgres
    frozen = []

    def freeze():
        ((pid,),) = query(
            database,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        os.kill(pid, signal.SIGSTOP)
        frozen.append(pid)
        return "pass"

    proxy.upward = proxy.once(COPY_DATA, freeze)
    try:
        with pytest.raises(hp.TransientError, match="did not answer within 1 s.*no answer"):
            load_batch(impatient(db))
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert counts(load_batch(db)) == (ROWS, 0, 0, 0)
    assert hp.verify_analytics(database) == []


LOCKS = {
    "the table": "LOCK TABLE business_events IN ACCESS EXCLUSIVE MODE",
    "a summary": "UPDATE company_analytics SET updated_at = now()",
}


@pytest.fixture
def locked(database):
    """`locked(sql)` takes a lock, and returns the connection that holds it."""
    engine = database.engine(poolclass=sa.NullPool)
    connection = engine.connect()
    yield lambda text: (connection.execute(sa.text(text)), connection)[1]
    connection.close()


@pytest.mark.parametrize("what", LOCKS)
def test_a_lock_of_another_session_fails_at_the_deadline(query, database, locked, what):
    if what == "a summary":
        query(
            database,
            "INSERT INTO business_events (event_id, event_type, company_id, occurred_at, business_context, data, "
            "metadata) VALUES ('there', 't', 'c0', now(), 'c', '{}', '{}')",
        )
    locked(LOCKS[what])
    with pytest.raises(hp.TransientError, match="lock timeout"):
        load_batch(impatient(database))


def test_a_lock_that_is_released_in_time_is_waited_for(query, database, locked):
    connection = locked(LOCKS["the table"])

    def release():
        while query(database, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
            time.sleep(0.01)
        connection.rollback()

    thread = threading.Thread(target=release)
    thread.start()
    loaded = load_batch(database)
    thread.join()
    assert counts(loaded) == (ROWS, 0, 0, 0)


def test_a_migration_of_another_session_fails_at_the_deadline(database, locked):
    locked(f"SELECT pg_advisory_xact_lock({0x686F_6C64_6564})")
    with pytest.raises(hp.TransientError, match="lock timeout"):
        hp.migrate(impatient(database))


def test_timeouts_that_the_user_has_set_are_kept(query, database):
    fail_with(query, database, "57014", 0)
    query(
        database,
        "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'limits: % %', current_setting('statement_timeout'), current_setting('lock_timeout') "
        "USING ERRCODE = '57014'; END $$",
    )
    own = attrs.evolve(impatient(database), url=f"{database.url}?options=-c%20statement_timeout%3D77s")
    with pytest.raises(hp.TransientError, match="limits: 77s 800ms"):
        load_batch(own)
