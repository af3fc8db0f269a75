"""`hp.migrate(db, partition_by="month")`: rows kept, all or nothing, refused where something would be lost."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from table_contents import load_rows, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline import migrations
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.event_row import EVENT_COLUMNS, PRODUCED_COLUMNS, event_row
from holded_pipeline.postgres.migrate import VERSION_TABLE
from holded_pipeline.postgres.table_loader import TableLoader
from holded_pipeline.postgres.tables import business_events

FORK = multiprocessing.get_context("fork")  # all that it needs is imported
EVERYTHING = "SELECT * FROM business_events ORDER BY event_id"
PARTITIONS = (
    "SELECT relname, pg_get_expr(relpartbound, pg_class.oid) FROM pg_inherits "
    "JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = CAST('business_events' AS regclass) ORDER BY 1"
)
SAMPLES = [
    hp.Event(f"e{n}", f"t{n % 3}", f"c{n % 4}", datetime(*day, 12, tzinfo=UTC), {"n": n})
    for n, day in enumerate([(1970, 1, 1), (2024, 2, 1), (2026, 3, 1), (2026, 3, 31), (2026, 12, 31), (9000, 1, 1)])
]


def store(db, events=SAMPLES):
    return load_rows(db, business_events, map(event_row, events), columns=EVENT_COLUMNS, same=PRODUCED_COLUMNS)


@pytest.fixture
def loaded(db):
    """A database whose own time zone is far from UTC, and six events in one table."""
    run_statements(db, f"ALTER DATABASE {db.url.rpartition('/')[2]} SET timezone TO 'Pacific/Auckland'")
    hp.migrate(db)
    store(db)
    return db


def test_rows_and_grants_stay_and_rows_are_in_the_months_of_utc(loaded):
    role = "reader_" + loaded.url.rpartition("_")[2]
    run_statements(loaded, f"CREATE ROLE {role}", f"GRANT SELECT, INSERT ON business_events TO {role}")
    before = rows_of(loaded, EVERYTHING)
    hp.migrate(loaded, partition_by="month")
    assert rows_of(loaded, EVERYTHING) == before
    assert hp.verify_analytics(loaded) == []
    places = rows_of(loaded, "SELECT event_id, CAST(tableoid AS regclass)::text FROM business_events ORDER BY 1")
    other = "business_events_other"
    march = "business_events_2026_03"
    assert [place for _, place in places] == [
        other,
        "business_events_2024_02",
        march,
        march,
        "business_events_2026_12",
        other,
    ]
    granted = f"SELECT has_table_privilege('{role}', '{{}}', '{{}}')"
    for table, right in (("business_events", "INSERT"), ("business_event_ids", "SELECT")):
        assert rows_of(loaded, granted.format(table, right)) == [(True,)]
    assert store(loaded).duplicates == len(SAMPLES)
    done = partitions = rows_of(loaded, PARTITIONS)
    hp.migrate(loaded, partition_by="month")
    hp.migrate(loaded)
    assert done == partitions == rows_of(loaded, PARTITIONS)


def test_four_processes_at_once_partition_once_while_a_loader_goes_on(loaded):
    loader = TableLoader(loaded, business_events, on_conflict="ignore", keep="first", same=PRODUCED_COLUMNS)
    lines = [RowFormat(business_events).line(event_row(each), EVENT_COLUMNS) for each in SAMPLES]
    assert loader.load(EVENT_COLUMNS, lines).duplicates == len(SAMPLES)
    ended, loads = threading.Event(), 0
    with ThreadPoolExecutor(5) as pool:
        migrations_ = [pool.submit(hp.migrate, loaded, partition_by="month") for _ in range(4)]
        for each in migrations_:
            each.add_done_callback(lambda _: ended.set())
        while not ended.is_set() or loads < 3:
            assert loader.load(EVENT_COLUMNS, lines).duplicates == len(SAMPLES)
            loads += 1
        for each in migrations_:
            each.result()
    assert loader.load(EVENT_COLUMNS, lines).duplicates == len(SAMPLES)
    loader.close()
    assert rows_of(loaded, f"SELECT version_num FROM {VERSION_TABLE}") == [("0006",)]
    assert hp.verify_analytics(loaded) == []


def test_killed_or_disconnected_after_the_copy_it_has_changed_nothing(loaded):
    """Another session has an uncommitted table of the name that the migration makes after the copy: it waits there."""
    before = rows_of(loaded, EVERYTHING)
    waiting = (
        "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND query LIKE '%holded_event_ids%'"
    )

    def start():
        migration = FORK.Process(target=hp.migrate, args=(loaded,), kwargs={"partition_by": "month"}, daemon=True)
        migration.start()
        return migration

    def wait_for_the_copy(migration):
        while rows_of(loaded, f"SELECT count(*) {waiting}") == [(0,)]:
            assert migration.is_alive()
            time.sleep(0.05)

    with loaded.engine(poolclass=sa.NullPool).connect() as blocking:
        blocking.exec_driver_sql("CREATE TABLE business_event_ids (n int)")
        migration = start()
        wait_for_the_copy(migration)
        migration.kill()
        migration.join()
        blocking.rollback()
        assert rows_of(loaded, EVERYTHING) == before
        assert rows_of(loaded, "SELECT relkind::text FROM pg_class WHERE relname = 'business_events'") == [("r",)]
        blocking.exec_driver_sql("CREATE TABLE business_event_ids (n int)")
        migration = start()
        wait_for_the_copy(migration)
        rows_of(loaded, f"SELECT pg_terminate_backend(pid) {waiting}")
        blocking.rollback()
        migration.join(60)
        assert migration.exitcode == 0  # it has connected again
    assert rows_of(loaded, EVERYTHING) == before
    assert rows_of(loaded, "SELECT relkind::text FROM pg_class WHERE relname = 'business_events'") == [("p",)]
    assert hp.verify_analytics(loaded) == []


def test_what_would_be_lost_is_named_and_nothing_is_changed(loaded):
    for statement in (
        "CREATE VIEW late AS SELECT event_id FROM business_events",
        "CREATE TABLE notes (event_id text REFERENCES business_events)",
        "CREATE INDEX by_user ON business_events (user_id)",
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER mine AFTER INSERT ON business_events EXECUTE FUNCTION nothing()",
        "ALTER TABLE business_events ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY anybody ON business_events USING (true)",
        "CREATE PUBLICATION shared FOR TABLE business_events",
        "COMMENT ON TABLE business_events IS 'what happened'",
        "ALTER TABLE business_events SET (fillfactor = 70)",
        "ALTER TABLE business_events REPLICA IDENTITY FULL",
        "CREATE STATISTICS by_company ON company_id, event_type FROM business_events",
        "ALTER TABLE business_events ADD COLUMN number serial",
    ):
        run_statements(loaded, statement)
    with pytest.raises(hp.ConfigurationError, match="drop what you have added") as caught:
        hp.migrate(loaded, partition_by="month")
    words = (
        "view late",
        "foreign key",
        "index by_user",
        "trigger mine",
        "row-level security",
        "policy anybody",
        "publication shared",
        "comment on the table",
        "storage option fillfactor=70",
        "replica identity",
        "statistics by_company",
        "sequence business_events_number_seq",
    )
    assert [word for word in words if word not in str(caught.value)] == []
    assert rows_of(loaded, "SELECT relkind::text FROM pg_class WHERE relname = 'business_events'") == [("r",)]


@pytest.mark.parametrize("arguments", [("head", "week"), ("0001", "month")])
def test_another_period_or_an_older_revision_is_a_wrong_argument(db, arguments):
    revision, period = arguments
    with pytest.raises(ValueError, match="partition_by"):
        hp.migrate(db, revision, partition_by=period)


def test_the_months_to_come_are_made_by_any_later_migration_of_the_owner(db, caplog):
    hp.migrate(db, partition_by="month")
    made = rows_of(db, PARTITIONS)
    assert len(made) == 5  # this month, the next three, and the default
    _, last = made[-2]
    soon = rows_of(db, "SELECT date_trunc('month', now()) + interval '3 months 2 days'")[0][0]
    run_statements(db, f"DROP TABLE {made[-2][0]}")
    store(db, [hp.Event("soon", "t", "c", soon, {})])
    engine = db.engine(poolclass=sa.NullPool)
    with engine.connect() as reading, caplog.at_level(logging.WARNING):
        reading.exec_driver_sql("SELECT * FROM business_events_other")
        hp.migrate(db)
    assert "business_events_other takes their events" in caplog.text
    assert len(rows_of(db, PARTITIONS)) == 4
    hp.migrate(db)
    assert rows_of(db, PARTITIONS)[-2] == made[-2]
    assert last in rows_of(db, PARTITIONS)[-2]
    assert rows_of(db, f"SELECT event_id FROM {made[-2][0]}") == [("soon",)]
    assert hp.verify_analytics(db) == []


def test_months_of_events_that_have_no_partition_get_one_on_request(db):
    hp.migrate(db, partition_by="month")
    store(db)
    assert rows_of(db, "SELECT count(*) FROM business_events_other")[0][0] >= 4
    hp.migrate(db, partition_by="month")
    assert rows_of(db, "SELECT event_id FROM business_events_other ORDER BY 1") == [("e0",), ("e5",)]
    assert hp.verify_analytics(db) == []
    assert store(db).duplicates == len(SAMPLES)


def test_alembic_makes_one_table_of_it_again(loaded):
    before = rows_of(loaded, EVERYTHING)
    hp.migrate(loaded, partition_by="month")
    config = alembic.config.Config()
    config.set_main_option("script_location", migrations.__path__[0])
    with loaded.engine(poolclass=sa.NullPool).begin() as connection:
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        alembic.command.downgrade(config, "month@base")
    assert rows_of(loaded, EVERYTHING) == before
    assert rows_of(loaded, f"SELECT version_num FROM {VERSION_TABLE}") == [("0005",)]
    hp.migrate(loaded)
    assert store(loaded).duplicates == len(SAMPLES)
    assert hp.verify_analytics(loaded) == []
