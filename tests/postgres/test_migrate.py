"""The business tables are created once, by whichever process comes first; a released migration is frozen."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import alembic.autogenerate
import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from preloaded import run_script

import holded_pipeline as hp
from holded_pipeline import migrations
from holded_pipeline.postgres import run_tables, tables
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

VERSIONS = Path(migrations.__path__[0]) / "versions"
RELEASED = {
    "0001": "d535c335046b23e7952afb03322a08f20048e5f9cc982c74abc74443decb8e60",
    "0002": "750c45669cfac8c66a7966a70506813185c435535c3c7228694e6042c1c49cf4",
    "0003": "fa25667c962680433bfc6e0d6e28baa58e76987c7f5df936c4a65e08ab2bafb8",
    "0004": "45052f0ee571c6b688cbb7629f666b95284d5056e474dd8a34782a66e3ae2d7f",
    "0005": "806d92564354ff1ec7b284bb7b1cd70553b95f3d1bd2a7083d05fc05b67455a9",
    "0006": "c50df97520429b476b3548b35e70eefe04bb6f6aaeae3ec2f472e46a3a3ab708",
}
"""Of each released revision the SHA-256 of its files, those whose names begin with its number."""


@pytest.fixture
def db(bare_db):
    return bare_db


def names(db):
    return set(sa.inspect(db.engine()).get_table_names())


def test_eight_processes_at_once_create_the_tables_once(db, tmp_path):
    script = tmp_path / "eight_times.py"
    script.write_text(EIGHT_TIMES, encoding="utf-8")
    done = run_script(script, db.url)
    assert done.returncode == 0, done.stderr
    assert names(db) == {*tables.metadata.tables, VERSION_TABLE}
    assert {"business_events", "company_analytics", "event_type_summaries", "event_type_companies"} < names(db)


def test_the_migrated_tables_are_those_that_the_code_declares(db):
    hp.migrate(db)
    assert run_tables.metadata is tables.metadata
    with db.engine().connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": VERSION_TABLE, "compare_server_default": True, "compare_type": True},
        )
        assert alembic.autogenerate.compare_metadata(context, tables.metadata) == []


def test_other_tables_are_left_alone(db):
    hp.migrate(db)
    with db.engine().begin() as connection:
        connection.execute(sa.text("CREATE TABLE mine (n int)"))
    hp.migrate(db)
    assert "mine" in names(db)


def test_alembic_can_downgrade_it(db):
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


def test_a_database_of_a_newer_version_is_an_error(db):
    hp.migrate(db)
    with db.engine().begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(hp.ConfigurationError, match="revision 9999.*newer version of holded-pipeline"):
        hp.migrate(db)


def test_base_is_no_revision_to_migrate_to(db):
    with pytest.raises(ValueError, match="forward only"):
        hp.migrate(db, "base")


def digest(revision):
    """The SHA-256 of the names and texts of a revision's files."""
    files = sorted(path for path in VERSIONS.glob(f"{revision}_*") if path.is_file())
    assert files, f"revision {revision} is gone"
    return hashlib.sha256(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)).hexdigest()


@pytest.mark.parametrize("revision", RELEASED)
def test_a_released_migration_stays_as_it_is(revision):
    changed = digest(revision) != RELEASED[revision]
    assert not changed, f"revision {revision} was edited: a released migration is frozen: add a new one"


def test_every_file_of_a_migration_belongs_to_a_released_revision():
    found = {path.name.partition("_")[0] for path in VERSIONS.iterdir() if path.is_file()}
    unknown = {revision: digest(revision) for revision in found - set(RELEASED)}
    assert unknown == {}, f"add to RELEASED in {Path(__file__).name} what is new: {unknown}"


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("*.py")), ids=lambda path: path.name)
def test_a_migration_imports_nothing_from_the_package(path):
    """What it imported could change, and what it makes of a database with it."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0] if node.level == 0 else "holded_pipeline")
    assert imported
    assert "holded_pipeline" not in imported, f"{path.name}: a migration is frozen text; copy into it what it needs"
