"""The tables of runs as SQLAlchemy tables; see `migrations/versions/0002_runs.py`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from holded_pipeline.postgres.tables import metadata

_TIME = sa.TIMESTAMP(timezone=True)
_NOW = sa.text("now()")
_KEY = sa.Text(collation="C")

pipeline_runs = sa.Table(
    "pipeline_runs",
    metadata,
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
    sa.Index("ix_pipeline_runs_began_at", "began_at"),
)
"""One row for each run. `seen_at` is the last sign of life of a run in state `running`."""

pipeline_run_objects = sa.Table(
    "pipeline_run_objects",
    metadata,
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
"""What became of the records of one object in one run; `imbalance` says what does not add up, NULL if all does."""

pipeline_run_outputs = sa.Table(
    "pipeline_run_outputs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("ledger", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Text, primary_key=True),
    sa.Column("key", _KEY, primary_key=True),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
"""An object with events that a run wrote; `prefix` is that of its `WriteMinIO`."""

pipeline_settlements = sa.Table(
    "pipeline_settlements",
    metadata,
    sa.Column("ledger", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("settled_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("has_manifests", sa.Boolean, nullable=False),
)
"""A run that settled its objects in a ledger; its manifests are written right after that."""

pipeline_settled_objects = sa.Table(
    "pipeline_settled_objects",
    metadata,
    sa.Column("ledger", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Text, primary_key=True),
    sa.Column("key", _KEY, primary_key=True),
    sa.Column("etag", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("settled_at", _TIME, nullable=False, server_default=_NOW),
)
"""An object that a ledger need not read again: all that came of it is stored."""

pipeline_bookmarks = sa.Table(
    "pipeline_bookmarks",
    metadata,
    sa.Column("ledger", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Text, primary_key=True),
    sa.Column("pattern", _KEY, primary_key=True),
    sa.Column("start_after", _KEY, nullable=False),
    sa.Column("listed_in_full_at", _TIME, nullable=False),
)
"""After which key a ledger lists a prefix, since what was listed up to it is settled."""

pipeline_leases = sa.Table(
    "pipeline_leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("taken_at", _TIME, nullable=False),
    sa.Column("expires_at", _TIME, nullable=False),
)
"""Who may run at the moment, one over all machines; the holder renews it."""

pipeline_run_loads = sa.Table(
    "pipeline_run_loads",
    metadata,
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("attempt", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("inserted", sa.BigInteger, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Column("objects", JSONB, nullable=False),
    sa.Column("loaded_at", _TIME, nullable=False, server_default=_NOW),
    sa.Index("ix_pipeline_run_loads_run_id", "run_id"),
    sa.Index("ix_pipeline_run_loads_loaded_at", "loaded_at"),
)
"""What one transaction of an attempt at a share has loaded; there until the run is settled, or for a week."""
