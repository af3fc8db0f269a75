"""The business tables as SQLAlchemy tables. The migrations create them; see `migrations/versions`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()

VOLATILE = {"volatile": True}
"""`Column.info` of columns that may differ between two loads of the same event, which is no reason to update a row."""

_NOW = sa.text("now()")

business_events = sa.Table(
    "business_events",
    metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("company_id", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("occurred_at", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("business_context", sa.Text, nullable=False),
    sa.Column("data_quality_score", sa.Numeric),
    sa.Column("data", JSONB, nullable=False),
    sa.Column("metadata", JSONB, nullable=False, info=VOLATILE),
    sa.Column("source", JSONB, info=VOLATILE),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW, info=VOLATILE),
    sa.Column(
        "updated_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW, onupdate=_NOW, info=VOLATILE
    ),
    sa.CheckConstraint(
        "data_quality_score > '-Infinity' AND data_quality_score < 'Infinity'", name="business_events_score_is_finite"
    ),
    sa.Index("ix_business_events_company_id", "company_id", "occurred_at"),
    sa.Index("ix_business_events_occurred_at", "occurred_at"),
    sa.Index("ix_business_events_business_context", "business_context"),
    sa.Index("ix_business_events_data_quality_score", "data_quality_score"),
)
"""One row for each event."""

company_analytics = sa.Table(
    "company_analytics",
    metadata,
    sa.Column("company_id", sa.Text, primary_key=True),
    sa.Column("total_events", sa.BigInteger, nullable=False),
    sa.Column("first_event_at", sa.TIMESTAMP(timezone=True)),
    sa.Column("last_event_at", sa.TIMESTAMP(timezone=True)),
    sa.Column("avg_data_quality", sa.Numeric, sa.Computed("quality_sum / nullif(scored_events, 0)", persisted=True)),
    sa.Column("business_contexts", JSONB, nullable=False),
    sa.Column("updated_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("scored_events", sa.BigInteger, nullable=False),
    sa.Column("quality_sum", sa.Numeric, nullable=False),
)
"""One row for each company; maintained by triggers. The average is computed from the last two columns."""

event_type_summaries = sa.Table(
    "event_type_summaries",
    metadata,
    sa.Column("event_type", sa.Text, primary_key=True),
    sa.Column("total_count", sa.BigInteger, nullable=False),
    sa.Column("unique_companies", sa.BigInteger, nullable=False),
    sa.Column("avg_quality_score", sa.Numeric, sa.Computed("quality_sum / nullif(scored_events, 0)", persisted=True)),
    sa.Column("last_occurrence", sa.TIMESTAMP(timezone=True)),
    sa.Column("updated_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("scored_events", sa.BigInteger, nullable=False),
    sa.Column("quality_sum", sa.Numeric, nullable=False),
)
"""One row for each event type; maintained by triggers."""

event_type_companies = sa.Table(
    "event_type_companies",
    metadata,
    sa.Column("event_type", sa.Text, primary_key=True),
    sa.Column("company_id", sa.Text, primary_key=True),
    sa.Column("events", sa.BigInteger, nullable=False),
)
"""How many events of a type a company has; `unique_companies` counts its rows. Maintained by triggers."""


def is_business_events(table: sa.Table) -> bool:
    """Whether it is `business_events`: by its name, since a table that was pickled for a worker is another object."""
    return (table.schema, table.name) == (business_events.schema, business_events.name)
