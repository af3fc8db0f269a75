"""Revision 0005 for events that are partitioned after it. Released, and therefore frozen."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
depends_on = "0005"

_STORAGE = Path(__file__).with_name("0005_rows_without_compression.sql")


def upgrade() -> None:
    """Sets it for each partition, and for those to come."""
    op.execute(sa.text(_STORAGE.read_text(encoding="utf-8").replace(":", r"\:")))


def downgrade() -> None:
    """Leaves it: revision 0004 makes one table of the partitions."""
