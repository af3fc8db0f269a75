"""The business tables, and the triggers that keep the summaries right. Released, and therefore frozen."""

from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_TIME = sa.TIMESTAMP(timezone=True)
_NOW = sa.text("now()")
_TRIGGERS = Path(__file__).with_name("0001_summary_triggers.sql")


def upgrade() -> None:
    """Creates the tables, then the triggers."""
    _create_events()
    _create_summaries()
    op.execute(sa.text(_TRIGGERS.read_text(encoding="utf-8")))


def downgrade() -> None:
    """Drops the tables with their data, and the functions of the triggers."""
    op.drop_table("business_events")
    for table in ("company_analytics", "event_type_summaries", "event_type_companies"):
        op.drop_table(table)
    for event in ("inserted", "updated", "deleted", "truncated"):
        op.execute(sa.text(f"DROP FUNCTION holded_events_{event}()"))
    op.execute(sa.text("DROP FUNCTION holded_add_contexts(jsonb, jsonb)"))


def _create_events() -> None:
    op.create_table(
        "business_events",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("business_context", sa.Text, nullable=False),
        sa.Column("data_quality_score", sa.Numeric),
        sa.Column("data", JSONB, nullable=False),
        sa.Column("metadata", JSONB, nullable=False),
        sa.Column("source", JSONB),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("updated_at", _TIME, nullable=False, server_default=_NOW),
        # NaN sorts above Infinity, so this excludes all three. A sum that took one in could not lose it again.
        sa.CheckConstraint(
            "data_quality_score > '-Infinity' AND data_quality_score < 'Infinity'",
            name="business_events_score_is_finite",
        ),
    )
    for name, columns in (
        ("company_id", ["company_id", "occurred_at"]),
        ("occurred_at", ["occurred_at"]),
        ("business_context", ["business_context"]),
        ("data_quality_score", ["data_quality_score"]),
    ):
        op.create_index(f"ix_business_events_{name}", "business_events", columns)


def _average() -> sa.Computed:
    return sa.Computed("quality_sum / nullif(scored_events, 0)", persisted=True)


def _average_parts() -> tuple[sa.Column[int], sa.Column[Decimal]]:
    return (
        sa.Column("scored_events", sa.BigInteger, nullable=False),
        sa.Column("quality_sum", sa.Numeric, nullable=False),
    )


def _create_summaries() -> None:
    op.create_table(
        "company_analytics",
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("total_events", sa.BigInteger, nullable=False),
        sa.Column("first_event_at", _TIME),
        sa.Column("last_event_at", _TIME),
        sa.Column("avg_data_quality", sa.Numeric, _average()),
        sa.Column("business_contexts", JSONB, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False, server_default=_NOW),
        *_average_parts(),
    )
    op.create_table(
        "event_type_summaries",
        sa.Column("event_type", sa.Text, primary_key=True),
        sa.Column("total_count", sa.BigInteger, nullable=False),
        sa.Column("unique_companies", sa.BigInteger, nullable=False),
        sa.Column("avg_quality_score", sa.Numeric, _average()),
        sa.Column("last_occurrence", _TIME),
        sa.Column("updated_at", _TIME, nullable=False, server_default=_NOW),
        *_average_parts(),
    )
    op.create_table(
        "event_type_companies",
        sa.Column("event_type", sa.Text, primary_key=True),
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("events", sa.BigInteger, nullable=False),
    )
