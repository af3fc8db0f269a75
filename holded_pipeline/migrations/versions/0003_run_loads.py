"""What attempts at shares of a run have loaded, so that what is new is known although an attempt was killed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "pipeline_run_loads",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("inserted", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("objects", JSONB, nullable=False),
        sa.Column("loaded_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.text("now()")),
    )
    op.create_index("ix_pipeline_run_loads_run_id", "pipeline_run_loads", ["run_id"])
    op.create_index("ix_pipeline_run_loads_loaded_at", "pipeline_run_loads", ["loaded_at"])


def downgrade() -> None:
    """Drops the table with its data."""
    op.drop_table("pipeline_run_loads")
