"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Migrates to this revision."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Undoes this revision."""
    ${downgrades if downgrades else "pass"}
