"""run_page: a picture of one run, as one HTML file."""

from __future__ import annotations

import html
from pathlib import Path

import attrs

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.page_parts import PAGE_STYLE, Bar, bars, card, columns, tile
from holded_pipeline.runs.run_figures import MOST_NAMES, MOST_ROWS, NamedCount, RunFigures, read_run_figures
from holded_pipeline.runs.run_records import RunRecord, runs
from holded_pipeline.runs.run_report import RunReport

_MOST_REASONS = 20
_LATENESS_NAMES = ("future", "<1s", "<10s", "<1m", "<10m", "<1h", "<1d", "<7d", "7d+")
_NO_ROWS = "This run inserted no rows into business_events."


@attrs.frozen
class RunPage:
    """The page of a run; a notebook shows it, `save` writes it.

    Attributes:
        run_id: of the run.
        html: the whole page; it loads nothing from anywhere and has no script.
    """

    run_id: str
    html: str = attrs.field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Writes the page to a file and returns its path."""
        file = Path(path)
        file.write_text(self.html, encoding="utf-8")
        return file

    def _repr_html_(self) -> str:
        # A frame of its own, so that the styles of the page and those of the notebook do not meet.
        style = "width:100%;height:900px;border:0"
        return f"<iframe sandbox style='{style}' srcdoc='{html.escape(self.html)}'></iframe>"


def run_page(db: Postgres, run_id: str) -> RunPage:
    """Makes a page of one run: its counts, rejections, quality, types, companies and lateness.

    Args:
        db: the database with the run's record and the business tables.
        run_id: of the run; `hp.runs(db)` lists them.

    Returns:
        A `RunPage`.

    Example:
        >>> for record in hp.runs(db, limit=1):
        ...     hp.run_page(db, record.run_id).save("run.html")

    Raises:
        ConfigurationError: no run with this id is recorded, or the database cannot be used as it is set up.
        TransientError: the database did not answer within `db.retry`.

    **Guarantees:** the page is one file without scripts, and loads nothing; every text in it is escaped. One statement
    counts the rows, at most 2,000,000 of them, and no row leaves the database. The rows of a run are those that were
    created while it ran, without those that the enricher `processing` marked as another run's. A run that does not use
    that enricher is therefore shown with the rows of others that ran at the same time.
    """
    record = runs(db).get(run_id)
    if record is None:
        raise ConfigurationError(f"no run {run_id!r} is recorded in {db}; hp.runs(db) lists those that are")
    figures = read_run_figures(db, run_id, record.began_at, record.ended_at or record.seen_at)
    return RunPage(run_id, _page(record, figures))


def _page(record: RunRecord, figures: RunFigures) -> str:
    name = html.escape(record.name or "Run")
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{name} · {html.escape(record.run_id)}</title><style>{PAGE_STYLE}</style></head><body><main>"
        f"{_head(record)}{_tiles(record.report)}<div class='cards'>{_cards(record, figures)}</div>"
        "</main></body></html>\n"
    )


def _head(record: RunRecord) -> str:
    good = {"succeeded": "good", "running": ""}.get(record.state, "bad")
    began = f"{record.began_at:%Y-%m-%d %H:%M:%S %Z}"
    error = f"<div class='error'><b class='bad'>Error</b>\n{html.escape(record.error)}</div>" if record.error else ""
    return (
        f"<div class='head'><h1><bdi>{html.escape(record.name or 'Run')}</bdi></h1>"
        f"<span class='state {good}'>{html.escape(record.state)}</span></div>"
        f"<p class='soft'>Run <bdi>{html.escape(record.run_id)}</bdi> · began {html.escape(began)} · "
        f"{_duration(record.seconds)} · host <bdi>{html.escape(record.host)}</bdi></p>{error}"
    )


def _tiles(report: RunReport) -> str:
    balance = {True: "yes", False: "NO", None: "unknown"}[report.is_balanced]
    tiles = (
        tile("records read", f"{report.records:,}"),
        tile("stored", f"{report.stored:,}"),
        tile("duplicates", f"{report.duplicates:,}"),
        tile("rejected", f"{report.rejected_total:,}", is_bad=report.rejected_total > 0),
        tile("records per second", f"{report.rate or 0:,.0f}"),
        tile("counts add up", balance, is_bad=report.is_balanced is False),
    )
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def _cards(record: RunRecord, figures: RunFigures) -> str:
    first = f" Of the first {MOST_ROWS:,} rows." if figures.rows >= MOST_ROWS else ""
    return "".join(
        (
            _rejections(record.report),
            _quality(figures, first),
            _by_name("Events by type", "types", figures.types, figures.top_types),
            _by_name("Events by company", "companies", figures.companies, figures.top_companies),
            _lateness(figures, first),
        )
    )


def _rejections(report: RunReport) -> str:
    found = [
        Bar(f"{stage}: {reason}", number)
        for stage, reasons in report.rejected.items()
        for reason, number in reasons.items()
    ]
    found.sort(key=lambda bar: (-bar.number, bar.name))
    hidden = len(found) - _MOST_REASONS
    text = "By stage and reason." + (f" {hidden:,} more reasons are not shown." if hidden > 0 else "")
    return card("Rejections", text, bars(found[:_MOST_REASONS], kind="reject", empty="No record was rejected."))


def _quality(figures: RunFigures, first: str) -> str:
    mean = "No row has a score." if figures.quality_mean is None else f"Mean {figures.quality_mean:.3f}."
    text = f"Rows by data_quality_score. {mean} {figures.unscored:,} without a score.{first}"
    names = [f".{tenth}" if tenth else "0" for tenth in range(10)]
    return card("Quality", text, columns(names, figures.quality, empty=_NO_ROWS if not figures.rows else "No scores."))


def _by_name(title: str, what: str, number: int, top: tuple[NamedCount, ...]) -> str:
    shown = [
        Bar(each.name, each.number, "no score" if each.quality is None else f"quality {each.quality:.2f}")
        for each in top
    ]
    text = f"{number:,} {what}, the {MOST_NAMES} largest." if number > MOST_NAMES else f"{number:,} {what}."
    return card(title, text, bars(shown, empty=_NO_ROWS))


def _lateness(figures: RunFigures, first: str) -> str:
    text = "From occurred_at to the row in the table."
    if figures.median_lateness is not None and figures.late_95 is not None:
        half, most = _duration(figures.median_lateness), _duration(figures.late_95)
        text += f" Median {half}, 95 % within {most}.{first}"
    return card("Lateness", text, columns(_LATENESS_NAMES, figures.lateness, empty=_NO_ROWS))


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= size * 2:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"
