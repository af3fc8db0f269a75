"""The tables of runs: what was done, object by object, and which objects need not be read again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

_TIME = sa.TIMESTAMP(timezone=True)
_NOW = sa.text("now()")
_KEY = sa.Text(collation="C")  # keys in the order of their bytes, which is the order of a listing


def upgrade() -> None:
    """Creates the tables."""
    _create_runs()
    _create_ledgers()
    op.create_table(
        "pipeline_leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("taken_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )


def downgrade() -> None:
    """Drops the tables with their data."""
    for table in (
        "pipeline_leases",
        "pipeline_bookmarks",
        "pipeline_settled_objects",
        "pipeline_settlements",
        "pipeline_run_outputs",
        "pipeline_run_objects",
        "pipeline_runs",
    ):
        op.drop_table(table)


def _create_runs() -> None:
    op.create_table(
        "pipeline_runs",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("began_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("seen_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("ended_at", _TIME),
        sa.Column("settled_at", _TIME),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("process_id", sa.BigInteger, nullable=False),
        sa.Column("versions", JSONB, nullable=False),
        sa.Column("arguments", JSONB, nullable=False),
        sa.Column("counts", JSONB, nullable=False),
        sa.Column("rejected", JSONB, nullable=False),
        sa.Column("error", sa.Text),
        sa.CheckConstraint("state IN ('running', 'succeeded', 'failed', 'killed')", name="pipeline_runs_state"),
    )
    op.create_index("ix_pipeline_runs_began_at", "pipeline_runs", ["began_at"])
    op.create_table(
        "pipeline_run_objects",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("ledger", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Text, primary_key=True),
        sa.Column("key", _KEY, primary_key=True),
        sa.Column("etag", sa.Text, primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("duplicates", sa.BigInteger, nullable=False),
        sa.Column("rejected", sa.BigInteger, nullable=False),
        sa.Column("dropped", sa.BigInteger, nullable=False),
        sa.Column("imbalance", sa.Text),
    )
    op.create_table(
        "pipeline_run_outputs",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("ledger", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Text, primary_key=True),
        sa.Column("key", _KEY, primary_key=True),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )


def _create_ledgers() -> None:
    op.create_table(
        "pipeline_settlements",
        sa.Column("ledger", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("settled_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("has_manifests", sa.Boolean, nullable=False),
    )
    op.create_table(
        "pipeline_settled_objects",
        sa.Column("ledger", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Text, primary_key=True),
        sa.Column("key", _KEY, primary_key=True),
        sa.Column("etag", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("settled_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "pipeline_bookmarks",
        sa.Column("ledger", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Text, primary_key=True),
        sa.Column("pattern", _KEY, primary_key=True),
        sa.Column("start_after", _KEY, nullable=False),
        sa.Column("listed_in_full_at", _TIME, nullable=False),
    )
