"""Row-level security that lets no row in: a setting, though PostgreSQL says it of each row."""

from __future__ import annotations

import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.time_limit import Deadline

# The letters of pg_policy.polcmd. A load returns what it inserted, so its rows must be visible, too.
_COMMANDS = {"a": "INSERT", "r": "SELECT", "w": "UPDATE"}
_COMMANDS_WITHOUT_POLICY = """
SELECT command FROM unnest(CAST(:commands AS "char"[])) AS command
WHERE row_security_active(CAST(:table AS regclass)) AND NOT EXISTS (
    SELECT FROM pg_policy
    WHERE polrelid = CAST(:table AS regclass) AND polpermissive AND polcmd IN (command, '*') AND (
        0 = ANY (polroles) OR EXISTS (SELECT FROM unnest(polroles) AS role WHERE pg_has_role(role, 'USAGE'))
    )
)"""


def check_policies(engine: sa.Engine, db: Postgres, table: str, *, updates: bool, deadline: Deadline) -> None:
    """Returns if there may be a row that the policies of a table let in.

    Args:
        engine: of the database.
        db: the database.
        table: its quoted name.
        updates: whether rows are updated, too.
        deadline: of the call.

    Raises:
        ConfigurationError: no policy allows this user a command that a load needs.
    """
    commands = ["a", "r", "w"] if updates else ["a", "r"]
    with deadline.time_limit().connect(engine) as connection:
        parameters = {"commands": commands, "table": table}
        found = connection.execute(sa.text(_COMMANDS_WITHOUT_POLICY), parameters).scalars().all()
    if found:
        missing = " and ".join(_COMMANDS[command] for command in found)
        raise ConfigurationError(
            f"{db} lets no row into {table}: it has row-level security, and no policy for {missing} of this user; "
            "create one, as a load inserts rows and reads which of them were new"
        )
