"""`business_events` in partitions by month: what keeps it from being partitioned, and the months to come."""

from __future__ import annotations

import logging

import psycopg
import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.sqlstate import driver_error

_log = logging.getLogger(__name__)

# To make a partition, business_events_other is locked, which those who read or write it wait for.
_AHEAD_LOCK_TIMEOUT = "2s"

_IS_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('business_events')"

# What to_char makes of the month is the end of the name that holded_add_month gives a partition.
_LACKS_MONTHS_AHEAD = """
SELECT relkind = 'p' AND pg_has_role(relowner, 'USAGE') AND EXISTS (
    SELECT FROM generate_series(0, 3) AS months WHERE NOT EXISTS (
        SELECT FROM pg_class AS part WHERE part.relnamespace = pg_class.relnamespace AND part.relname =
            'business_events_' || to_char(
                date_trunc('month', now() AT TIME ZONE 'UTC') + months * interval '1 month', 'YYYY_MM'
            )
    )
)
FROM pg_class WHERE oid = to_regclass('business_events')"""

# What a copy of the rows would lose. Grants and check constraints are carried over.
_KEPT_BY_NOBODY = """
WITH events AS (SELECT * FROM pg_class WHERE oid = to_regclass('business_events'))
SELECT 'the view ' || CAST(CAST(ev_class AS regclass) AS text)
FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid JOIN events ON events.oid = refobjid
WHERE classid = CAST('pg_rewrite' AS regclass) AND ev_class <> events.oid
UNION SELECT 'the foreign key ' || conname || ' of ' || CAST(CAST(conrelid AS regclass) AS text)
FROM pg_constraint JOIN events ON contype = 'f' AND events.oid IN (conrelid, confrelid)
UNION SELECT 'the constraint ' || conname
FROM pg_constraint JOIN events ON conrelid = events.oid WHERE contype IN ('u', 'x', 't')
UNION SELECT 'the trigger ' || tgname FROM pg_trigger JOIN events ON tgrelid = events.oid
WHERE NOT tgisinternal AND tgname NOT IN (
    'holded_events_inserted', 'holded_events_updated', 'holded_events_deleted', 'holded_events_truncated'
)
UNION SELECT 'paused summaries (hp.rebuild_analytics(db) ends the pause)'
FROM pg_trigger JOIN events ON tgrelid = events.oid WHERE tgname = 'holded_events_inserted' AND tgenabled = 'D'
UNION SELECT 'the rule ' || rulename FROM pg_rewrite JOIN events ON ev_class = events.oid
UNION SELECT 'the policy ' || polname FROM pg_policy JOIN events ON polrelid = events.oid
UNION SELECT 'row-level security' FROM events WHERE relrowsecurity
UNION SELECT 'the storage option ' || option FROM events CROSS JOIN LATERAL unnest(reloptions) AS option
WHERE option <> 'toast_tuple_target=4080'
UNION SELECT 'the tablespace' FROM events WHERE reltablespace <> 0
UNION SELECT 'the replica identity' FROM events WHERE relreplident <> 'd'
UNION SELECT 'the comment on the table' FROM pg_description JOIN events ON objoid = events.oid
WHERE classoid = CAST('pg_class' AS regclass) AND objsubid = 0
UNION SELECT 'the statistics ' || stxname FROM pg_statistic_ext JOIN events ON stxrelid = events.oid
UNION SELECT 'the sequence ' || owned.relname FROM pg_depend JOIN events ON refobjid = events.oid
JOIN pg_class AS owned ON owned.oid = objid AND owned.relkind = 'S'
UNION SELECT 'the publication ' || pubname FROM pg_publication_rel JOIN pg_publication ON pg_publication.oid = prpubid
JOIN events ON events.oid = prrelid
UNION SELECT 'the child table ' || CAST(CAST(inhrelid AS regclass) AS text)
FROM pg_inherits JOIN events ON inhparent = events.oid
UNION SELECT 'the index ' || named.relname FROM pg_index JOIN events ON indrelid = events.oid
JOIN pg_class AS named ON named.oid = indexrelid WHERE named.relname NOT IN (
    'business_events_pkey', 'ix_business_events_company_id', 'ix_business_events_occurred_at',
    'ix_business_events_business_context', 'ix_business_events_data_quality_score'
)
UNION SELECT 'the column ' || attname FROM pg_attribute JOIN events ON attrelid = events.oid
WHERE attnum > 0 AND NOT attisdropped AND (attgenerated <> '' OR attidentity <> '' OR attacl IS NOT NULL)
ORDER BY 1"""

_OWNER = """
SELECT CAST(CAST(relowner AS regrole) AS text) FROM pg_class
WHERE oid = to_regclass('business_events') AND relowner <> CAST(current_user AS regrole)"""


def is_partitioned(connection: sa.Connection) -> bool:
    """Whether the events are in partitions."""
    return bool(connection.execute(sa.text(_IS_PARTITIONED)).scalar())


def check_can_partition(connection: sa.Connection, db: Postgres) -> None:
    """Makes sure that nothing is lost when the rows of `business_events` are copied into a partitioned table.

    Raises:
        ConfigurationError: something depends on the table that would be lost, or somebody else owns it.
    """
    # From here on nothing of this can be added.
    connection.exec_driver_sql("LOCK TABLE business_events IN ACCESS EXCLUSIVE MODE")
    owner = connection.execute(sa.text(_OWNER)).scalar()
    if owner is not None:
        raise ConfigurationError(
            f"{db}: business_events belongs to {owner}; connect as {owner} to partition it, or add "
            f"?options=-crole={owner} to the URL, so that the partitions have the same owner"
        )
    found = connection.execute(sa.text(_KEPT_BY_NOBODY)).scalars().all()
    if found:
        raise ConfigurationError(
            f"{db}: business_events is not partitioned, since that would drop what you have added to it: "
            f"{'; '.join(found)}. Drop it, call migrate again, and make it anew; a foreign key to event_id and a "
            "unique constraint without occurred_at cannot be kept"
        )


def add_months(connection: sa.Connection) -> None:
    """Makes the partitions of the next months, and of the months of rows that are in the default partition."""
    connection.execute(sa.text("SELECT holded_add_months(CAST('business_events_other' AS regclass))"))


def add_months_ahead(connection: sa.Connection, db: Postgres) -> None:
    """Makes the partitions of the next months, if the events are in partitions and this user owns them.

    Where that fails, a warning is logged: the default partition takes the rows meanwhile.
    """
    if not connection.execute(sa.text(_LACKS_MONTHS_AHEAD)).scalar():
        return
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_AHEAD_LOCK_TIMEOUT}'")
            connection.execute(sa.text("SELECT holded_add_months()"))
    except sa.exc.DBAPIError as error:
        cause = driver_error(error)
        if not isinstance(
            cause,
            psycopg.errors.LockNotAvailable
            | psycopg.errors.InsufficientPrivilege
            | psycopg.errors.InvalidObjectDefinition,  # the range overlaps a partition of the user's
        ):
            raise
        _log.warning(
            "%s: the partitions of the next months were not made (%s); business_events_other takes their events until "
            'hp.migrate(db, partition_by="month") moves them',
            db,
            str(cause).strip().splitlines()[0],
        )
