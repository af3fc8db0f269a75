"""Makes and migrates the business tables."""

from __future__ import annotations

import time
from pathlib import Path

import alembic.command
import alembic.config
import alembic.util
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from holded_pipeline import migrations
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.errors import is_transient_postgres_error, translate_postgres_error
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.time_limit import TimeLimit

VERSION_TABLE = "holded_pipeline_version"
_LOCK = 0x686F_6C64_6564  # "holded": whoever migrates these tables takes the same advisory lock


def migrate(db: Postgres, revision: str = "head") -> None:
    """Brings the business tables of a database to a revision; what is there already is left alone.

    Safe to call from many processes at once: one migrates, the others wait for it. All or nothing.

    Args:
        db: the database. The tables are made in the first schema of its search path.
        revision: `head`, or a revision of `holded_pipeline/migrations/versions`.

    Raises:
        ValueError: `revision` is `base`.
        ConfigurationError: the database was migrated by a newer version of this library, or a grant is missing.
        TransientError: the server did not answer within `db.retry`.
    """
    if revision == "base":
        raise ValueError("migrate goes forward only; drop the tables yourself, or by alembic.command.downgrade")
    engine = db.engine(poolclass=sa.NullPool)
    ends = time.monotonic() + db.retry.deadline

    def attempt() -> None:
        limit = TimeLimit.until(ends, least=db.connect_timeout)
        with limit.connect(engine) as connection, connection.begin():
            connection.exec_driver_sql(limit.on_the_server("lock_timeout"))
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _upgrade(connection, db, revision)

    try:
        db.retry.call(attempt, server=str(db), is_transient=is_transient_postgres_error)
    except Exception as error:
        translated = translate_postgres_error(error, db)
        if translated is error:
            raise
        raise translated from error


def _upgrade(connection: sa.Connection, db: Postgres, revision: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    scripts = ScriptDirectory.from_config(config)
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    current = context.get_current_revision()
    if revision == "head" and current == scripts.get_current_head():
        return
    try:
        alembic.command.upgrade(config, revision)
    except alembic.util.CommandError as error:
        raise ConfigurationError(
            f"{db} is at revision {current} of the business tables and cannot be brought to {revision!r}: {error}; "
            "it may have been migrated by a newer version of holded-pipeline, which is then to be installed here"
        ) from error
