"""Creates and migrates the business tables."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from holded_pipeline import migrations
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.postgres import Postgres, require_postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.time_limit import Deadline

VERSION_TABLE = "holded_pipeline_version"
_LOCK = 0x686F_6C64_6564  # "holded": every process that migrates these tables takes this advisory lock


def migrate(db: Postgres, revision: str = "head") -> None:
    """Migrates the business tables of a database to a revision; other tables stay as they are.

    Safe to call from many processes at once: one migrates, the others wait for it. All or nothing.

    Args:
        db: the database. The tables are created in the first schema of its search path.
        revision: `head`, or a revision of `holded_pipeline/migrations/versions`.

    Raises:
        ValueError: `revision` is `base`.
        ConfigurationError: the database was migrated by a newer version of this library, or a grant is missing.
        TransientError: the server did not answer within `db.retry`.
    """
    require_postgres(db, "migrate")
    if revision == "base":
        raise ValueError("migrate goes forward only; drop the tables yourself, or by alembic.command.downgrade")
    engine = db.engine(poolclass=sa.NullPool)

    def attempt(deadline: Deadline) -> None:
        limit = deadline.time_limit()
        with limit.connect(engine) as connection, connection.begin():
            connection.exec_driver_sql(limit.set_timeouts_sql("lock_timeout"))
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _upgrade(connection, db, revision)

    call_postgres(db, attempt)


def _upgrade(connection: sa.Connection, db: Postgres, revision: str) -> None:
    # Imported here, since they take a tenth of a second, and most who import the package migrate nothing.
    import alembic.command  # noqa: PLC0415
    import alembic.config  # noqa: PLC0415
    import alembic.util  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

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
            f"{db} is at revision {current} of the business tables and cannot be migrated to {revision!r}: {error}; "
            "if a newer version of holded-pipeline migrated it, install that version here"
        ) from error
