"""The business tables are made once, by whoever comes first, and are what the code takes them for."""

from __future__ import annotations

import subprocess
import sys

import alembic.autogenerate
import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext

import holded_pipeline as hp
from holded_pipeline import migrations
from holded_pipeline.postgres import tables
from holded_pipeline.postgres.migrate import VERSION_TABLE

# One interpreter that imports the library once, and then becomes eight.
EIGHT_TIMES = """
import os, sys
import holded_pipeline as hp

children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        hp.migrate(hp.Postgres(sys.argv[1]))
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def names(db):
    return set(sa.inspect(db.engine()).get_table_names())


def test_eight_processes_at_once_make_them_once(db):
    command = [sys.executable, "-c", EIGHT_TIMES, db.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert names(db) == {
        "business_events",
        "company_analytics",
        "event_type_summaries",
        "event_type_companies",
        VERSION_TABLE,
    }


def test_the_tables_are_what_the_code_takes_them_for(db):
    hp.migrate(db)
    with db.engine().connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": VERSION_TABLE, "compare_server_default": True, "compare_type": True},
        )
        assert alembic.autogenerate.compare_metadata(context, tables.metadata) == []


def test_what_is_there_is_left_alone(db):
    hp.migrate(db)
    with db.engine().begin() as connection:
        connection.execute(sa.text("CREATE TABLE mine (n int)"))
    hp.migrate(db)
    assert "mine" in names(db)


def test_it_can_be_taken_back_by_alembics_own_means(db):
    hp.migrate(db)
    config = alembic.config.Config()
    config.set_main_option("script_location", migrations.__path__[0])
    with db.engine().begin() as connection:
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        alembic.command.downgrade(config, "base")
    assert names(db) == {VERSION_TABLE}
    with db.engine().connect() as connection:
        left = connection.execute(sa.text("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"))
        assert left.all() == []
    hp.migrate(db)
    assert "business_events" in names(db)


def test_a_database_of_a_newer_version_is_refused(db):
    hp.migrate(db)
    with db.engine().begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(hp.ConfigurationError, match="revision 9999.*newer version of holded-pipeline"):
        hp.migrate(db)


def test_going_back_is_not_taken_for_going_forward(db):
    with pytest.raises(ValueError, match="forward only"):
        hp.migrate(db, "base")
