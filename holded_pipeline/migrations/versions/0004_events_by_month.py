"""Events in partitions by month: a branch beside the main line, for those who ask for it.

It depends on revision 0003, and no later revision of the main line depends on it. A later revision that alters
business_events alters the partitions with it.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = None
branch_labels = ("month",)
depends_on = "0003"

_PARTITIONS = Path(__file__).with_name("0004_events_by_month.sql")
_WHOLE = Path(__file__).with_name("0004_events_whole.sql")


def upgrade() -> None:
    """Makes a partitioned table of business_events, with the rows that it has."""
    op.execute(sa.text(_PARTITIONS.read_text(encoding="utf-8").replace(":", r"\:")))


def downgrade() -> None:
    """Makes one table of business_events again, with its rows."""
    op.execute(sa.text(_WHOLE.read_text(encoding="utf-8").replace(":", r"\:")))
