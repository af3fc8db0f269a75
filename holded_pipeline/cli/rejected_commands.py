"""`rejected`: the dead-letter store."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any, Literal

import click

from holded_pipeline.cli.flow import Flow
from holded_pipeline.cli.options import CommandContext, shared_options
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import Rejected
from holded_pipeline.rejected.forecast import Forecast
from holded_pipeline.rejected.rejections import to_document
from holded_pipeline.stored.rejections import rejected
from holded_pipeline.transforms.forecast import forecast
from holded_pipeline.transforms.run import run

_COLUMNS = ("id", "rejected_at", "stage", "reason", "event_type", "attempts", "message")


@click.group("rejected")
def rejected_commands() -> None:
    """List rejected records, show one, say what a replay would do, and replay them."""


def _filters(function: Any) -> Any:
    """Adds the filters over rejections."""
    several: dict[str, Any] = {"multiple": True, "metavar": "TEXT"}
    for option in (
        click.option("--stage", **several, help="Rejected at this stage; may be given again."),
        click.option("--reason", **several, help="Rejected for this reason; may be given again."),
        click.option("--subject", **several, help="Checked against a schema of this subject; may be given again."),
        click.option("--event-type", **several, help="Events of this type; may be given again."),
        click.option("--since", type=click.DateTime(), metavar="TIME", help="Rejected then or later (UTC)."),
        click.option("--until", type=click.DateTime(), metavar="TIME", help="Rejected before then (UTC)."),
    ):
        function = option(function)
    return function


def _selection(options: dict[str, Any]) -> dict[str, Any]:
    names = {name: options[name] or None for name in ("stage", "reason", "subject", "event_type")}
    return names | {name: _utc(options[name]) for name in ("since", "until")}


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)


@rejected_commands.command("list")
@_filters
@click.option("--all", "all_", is_flag=True, help="Those that were replayed, too.")
@click.option("--limit", type=click.IntRange(1), default=100, help="At most so many.  [default: 100]")
@shared_options()
def list_rejected(context: CommandContext, **options: Any) -> None:
    """List rejected records that are open."""
    flow = Flow.of(context.settings)
    which: Literal["open", "all"] = "all" if options["all_"] else "open"
    found = rejected(flow.lake, flow.settings.flow.rejected, **_selection(options), which=which)
    rows = [to_document(each) for each in itertools.islice(found, options["limit"])]
    context.out.table(rows, _COLUMNS, nothing="no rejected record matches")


@rejected_commands.command("show")
@click.argument("rejection_id")
@shared_options()
def show_rejected(context: CommandContext, rejection_id: str) -> None:
    """Show one rejected record: why it was rejected, and the record itself. The beginning of its id suffices."""
    flow = Flow.of(context.settings)
    found: dict[str, Rejected] = {}
    for each in rejected(flow.lake, flow.settings.flow.rejected, which="all"):
        if each.id == rejection_id:
            found = {each.id: each}
            break
        if rejection_id and each.id.startswith(rejection_id):
            found.setdefault(each.id, each)
    if len(found) > 1:
        listed = ", ".join(itertools.islice(sorted(found), 3))
        raise ConfigurationError(
            f"{len(found)} rejected records have ids that begin with {rejection_id!r}: {listed}; give more of one"
        )
    if not found:
        raise ConfigurationError(f"no rejected record has the id {rejection_id!r}; `rejected list` lists them")
    (each,) = found.values()
    context.out.document(to_document(each), _describe_rejected(each))


@rejected_commands.command("forecast")
@_filters
@click.option("--max-attempts", type=click.IntRange(1), default=5, help="Records tried so often stay.  [default: 5]")
@shared_options()
def forecast_rejected(context: CommandContext, **options: Any) -> None:
    """Say how many rejected records would pass now, and why the others would not; nothing is written.

    It does not ask the tables: a record that one would reject, as an id_conflict for example, passes here.
    """
    found = _forecast(Flow.of(context.settings), options)
    context.out.document(_document_of(found), str(found))


@rejected_commands.command("replay")
@_filters
@click.option("--max-attempts", type=click.IntRange(1), default=5, help="Records tried so often stay.  [default: 5]")
@click.option("--progress/--no-progress", default=None, help="Show progress.  [default: as fits the terminal]")
@shared_options()
def replay_rejected(context: CommandContext, **options: Any) -> None:
    """Run rejected records through the pipeline again; those that pass are settled.

    \b
    Example:
      holded-pipeline rejected replay --stage validate --reason schema_violation
    """  # noqa: D301  \b keeps the lines of the example as they are
    flow = Flow.of(context.settings)
    pipeline = flow.replay(_selection(options) | {"max_attempts": options["max_attempts"]})
    report = run(pipeline, progress=options["progress"], name=f"{flow.settings.flow.name} replay")
    context.out.document(report.to_dict(), str(report))


def _forecast(flow: Flow, options: dict[str, Any]) -> Forecast:
    selection = _selection(options) | {"max_attempts": options["max_attempts"]}
    runner = flow.settings.runs.runner
    return forecast(flow.lake, flow.settings.flow.rejected, flow.steps(), runner=runner, **selection)


def _document_of(found: Forecast) -> dict[str, Any]:
    return {
        "matching": found.matching,
        "passes": found.passes,
        "parked": found.parked,
        "broken": found.broken,
        "by_reason": [
            {"stage": stage, "reason": reason, "outcome": outcome, "records": records}
            for (stage, reason), outcomes in found.by_reason.items()
            for outcome, records in outcomes.items()
        ],
    }


def _describe_rejected(each: Rejected) -> str:
    source = each.source
    where = "" if source is None else f"{source.bucket}/{source.key}, line {source.line}"
    lines = [
        f"{each.stage}: {each.reason}",
        each.message,
        *(f"  {violation.pointer}: {violation.message}" for violation in each.violations),
        "",
        f"id        {each.id}",
        f"rejected  {each.rejected_at.isoformat()} by run {each.run_id}, attempt {each.attempts}",
        f"source    {where}",
        f"event     {each.event_type or ''} {each.event_id or ''}",
        f"record    ({each.payload_kind})",
        each.raw.decode(errors="replace"),
    ]
    return "\n".join(lines)
