"""The figures of a run's page: what the rows that a run inserted look like, counted by PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.run_database import in_transaction

MOST_ROWS: Final = 2_000_000
"""Figures are made of at most so many rows of a run."""

MOST_NAMES: Final = 12
"""So many types and companies are shown, those with most events."""

LATENESS_SECONDS: Final = (0, 1, 10, 60, 600, 3_600, 86_400, 604_800)
"""Where the intervals of the lateness begin; before the first one are events that occurred after they were stored."""

# One statement reads the rows once, so all figures are of one snapshot. The run id is in the metadata of events that
# the enricher `processing` saw; of others the time of the insert decides.
_FIGURES = f"""
WITH picked AS MATERIALIZED (
    SELECT event_type, company_id, data_quality_score AS score,
        extract(epoch FROM created_at - occurred_at)::float8 AS late
    FROM business_events
    WHERE created_at BETWEEN :began_at AND :ended_at
        AND coalesce(metadata->'processing'->>'run_id', :run_id) = :run_id
    LIMIT {MOST_ROWS}
)
SELECT 'rows' AS figure, '' AS label, count(*) AS number, avg(score)::float8 AS mean FROM picked
UNION ALL SELECT 'unscored', '', count(*), NULL FROM picked WHERE score IS NULL
UNION ALL SELECT 'types', '', count(DISTINCT event_type), NULL FROM picked
UNION ALL SELECT 'companies', '', count(DISTINCT company_id), NULL FROM picked
UNION ALL SELECT 'median', '', 0, percentile_cont(0.5) WITHIN GROUP (ORDER BY late) FROM picked
UNION ALL SELECT 'late_95', '', 0, percentile_cont(0.95) WITHIN GROUP (ORDER BY late) FROM picked
UNION ALL (
    SELECT 'quality', least(greatest(floor(score * 10), 0), 9)::int::text, count(*), NULL FROM picked
    WHERE score IS NOT NULL GROUP BY 2 LIMIT 10)
UNION ALL (
    SELECT 'lateness', width_bucket(late, CAST(:bounds AS float8[]))::text, count(*), NULL
    FROM picked GROUP BY 2 LIMIT 9)
UNION ALL (
    SELECT 'type', left(event_type, 300), count(*), avg(score)::float8 FROM picked
    GROUP BY event_type ORDER BY 3 DESC, event_type COLLATE "C" LIMIT {MOST_NAMES})
UNION ALL (
    SELECT 'company', left(company_id, 300), count(*), avg(score)::float8 FROM picked
    GROUP BY company_id ORDER BY 3 DESC, company_id COLLATE "C" LIMIT {MOST_NAMES})"""


@attrs.frozen
class NamedCount:
    """Events of one type or company, and their mean quality score (None if none has a score)."""

    name: str
    number: int
    quality: float | None


@attrs.frozen(hash=False)
class RunFigures:
    """What the rows look like that a run inserted.

    Attributes:
        rows: rows that were counted, at most `MOST_ROWS`.
        quality_mean: the mean score; None if no row has one.
        unscored: rows without a score.
        quality: rows by tenth of the score, from 0 to 1.
        lateness: rows by interval: before `LATENESS_SECONDS[0]`, from it to the next, and so on.
        median_lateness: in seconds, from `occurred_at` to `created_at`; None without rows.
        late_95: 95 % of the rows are not later, in seconds.
        types: different types.
        companies: different companies.
        top_types: those with most events.
        top_companies: those with most events.
    """

    rows: int
    quality_mean: float | None
    unscored: int
    quality: tuple[int, ...]
    lateness: tuple[int, ...]
    median_lateness: float | None
    late_95: float | None
    types: int
    companies: int
    top_types: tuple[NamedCount, ...]
    top_companies: tuple[NamedCount, ...]


def read_run_figures(db: Postgres, run_id: str, began_at: datetime, ended_at: datetime) -> RunFigures:
    """The figures of one run, read by one statement within `db.retry`."""
    values = {"run_id": run_id, "began_at": began_at, "ended_at": ended_at, "bounds": list(LATENESS_SECONDS)}
    return _figures_of(in_transaction(db, lambda each: list(each.execute(sa.text(_FIGURES), values))))


def _figures_of(rows: list[Any]) -> RunFigures:
    single = {row.figure: row for row in rows}

    def bins(figure: str, number: int) -> tuple[int, ...]:
        counts = {int(row.label): row.number for row in rows if row.figure == figure}
        return tuple(counts.get(position, 0) for position in range(number))

    def names(figure: str) -> tuple[NamedCount, ...]:
        return tuple(NamedCount(row.label, row.number, row.mean) for row in rows if row.figure == figure)

    return RunFigures(
        rows=single["rows"].number,
        quality_mean=single["rows"].mean,
        unscored=single["unscored"].number,
        quality=bins("quality", 10),
        lateness=bins("lateness", len(LATENESS_SECONDS) + 1),
        median_lateness=single["median"].mean,
        late_95=single["late_95"].mean,
        types=single["types"].number,
        companies=single["companies"].number,
        top_types=names("type"),
        top_companies=names("company"),
    )
