"""Creates and migrates the business tables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from holded_pipeline import migrations
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.event_months import add_months, add_months_ahead, check_can_partition, is_partitioned
from holded_pipeline.postgres.paused_analytics import warn_if_paused
from holded_pipeline.postgres.postgres import Postgres, require_postgres
from holded_pipeline.postgres.retried_call import call_postgres
from holded_pipeline.postgres.time_limit import Deadline

VERSION_TABLE = "holded_pipeline_version"
_LOCK = 0x686F_6C64_6564  # "holded": every process that migrates these tables takes this advisory lock
_MAIN_LINE = "0001@head"
_BY_MONTH = "month@head"


def migrate(db: Postgres, revision: str = "head", *, partition_by: Literal["month"] | None = None) -> None:
    """Migrates the business tables of a database to a revision; other tables stay as they are.

    Safe to call from many processes at once: one migrates, the others wait for it. All or nothing.

    With `partition_by="month"`, `business_events` becomes a table that is partitioned by the month of `occurred_at` in
    UTC, with the rows that it has, and stays one; see docs/how-to/postgres.md. The rows are copied while readers and
    writers wait, within `db.retry`. Called again, it makes partitions for months of events that have none. Any later
    call by the owner of the tables, such as that of a run that begins, makes the partitions of the next three months.

    Args:
        db: the database. The tables are created in the first schema of its search path.
        revision: `head`, or a revision of `holded_pipeline/migrations/versions`.
        partition_by: `month` to partition the events; None to leave them as they are.

    Raises:
        ValueError: `revision` is `base`, or `partition_by` is another word or goes with another revision than `head`.
        ConfigurationError: the database was migrated by a newer version of this library, a grant is missing, or
            something of yours depends on `business_events` that a partitioned table could not keep.
        TransientError: the server did not answer within `db.retry`.
    """
    require_postgres(db, "migrate")
    if revision == "base":
        raise ValueError("migrate goes forward only; drop the tables yourself, or by alembic.command.downgrade")
    if partition_by not in (None, "month"):
        raise ValueError(f'partition_by is "month" or None, got {partition_by!r}')
    if partition_by is not None and revision != "head":
        raise ValueError(f'partition_by goes with revision "head", got {revision!r}')
    engine = db.engine(poolclass=sa.NullPool)

    def attempt(deadline: Deadline) -> None:
        limit = deadline.time_limit()
        with limit.connect(engine) as connection, connection.begin():
            connection.exec_driver_sql(limit.set_timeouts_sql("lock_timeout"))
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _upgrade(connection, db, _MAIN_LINE if revision == "head" else revision)
            if partition_by is None:
                add_months_ahead(connection, db)
                warn_if_paused(connection, db)
                return
            if not is_partitioned(connection):
                check_can_partition(connection, db)
                _upgrade(connection, db, _BY_MONTH)
            add_months(connection)

    call_postgres(db, attempt)


def _upgrade(connection: sa.Connection, db: Postgres, revision: str) -> None:
    # Imported here, since they take a tenth of a second, and most who import the package migrate nothing.
    import alembic.command  # noqa: PLC0415
    import alembic.config  # noqa: PLC0415
    import alembic.util  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.script.revision import RevisionError  # noqa: PLC0415

    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    scripts = ScriptDirectory.from_config(config)
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    current = context.get_current_heads()
    try:
        # Alembic does not record a revision that a recorded one depends on.
        known = {script.revision for head in current for script in scripts.iterate_revisions(head, "base")}
        if not known.issuperset(script.revision for script in scripts.get_revisions(revision)):
            alembic.command.upgrade(config, revision)
    except (alembic.util.CommandError, RevisionError) as error:
        raise ConfigurationError(
            f"{db} is at revision {', '.join(sorted(current)) or None} of the business tables and cannot be migrated "
            f"to {revision!r}: {error}; if a newer version of holded-pipeline migrated it, install that version here"
        ) from error
