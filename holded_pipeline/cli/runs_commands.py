"""`runs`: what each run did."""

from __future__ import annotations

from typing import Any

import attrs
import click

from holded_pipeline.cli.connections import database_of
from holded_pipeline.cli.options import CommandContext, shared_options
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.runs.run_records import RunRecord, runs

_COLUMNS = ("run_id", "name", "state", "began_at", "seconds", "records", "stored", "duplicates", "rejected_total")


@click.group("runs")
def runs_commands() -> None:
    """List the runs that were made, and show what one did."""


@runs_commands.command("list")
@click.option("--name", help="Only those of the pipeline with this name.")
@click.option("--limit", type=click.IntRange(1), default=20, help="At most so many.  [default: 20]")
@shared_options()
def list_runs(context: CommandContext, *, name: str | None, limit: int) -> None:
    """List the last runs, the newest first; failed and killed ones, too."""
    found = runs(database_of(context.settings), name, limit=limit)
    context.out.table([_row_of(each) for each in found], _COLUMNS, nothing="no run is recorded")


@runs_commands.command("show")
@click.argument("run_id")
@click.option("--objects", is_flag=True, help="What became of the records of each object, too.")
@shared_options()
def show_run(context: CommandContext, run_id: str, *, objects: bool) -> None:
    """Show what one run did."""
    db = database_of(context.settings)
    found = runs(db).get(run_id)
    if found is None:
        raise ConfigurationError(f"no run has the id {run_id!r}; `holded-pipeline runs list` lists them")
    document = found.to_dict()
    text = str(found.report)
    if objects:
        each_object = [attrs.asdict(each) for each in found.objects()]
        document["objects"] = each_object
        text = "\n".join([text, *(f"{each['key']}: {_counts_of(each)}" for each in each_object)])
    context.out.document(document, text)


def _row_of(record: RunRecord) -> dict[str, Any]:
    report = record.report
    return record.to_dict() | {
        "began_at": record.began_at,
        "seconds": round(record.seconds, 1),
        "records": report.records,
        "stored": report.stored,
        "duplicates": report.duplicates,
        "rejected_total": report.rejected_total,
    }


def _counts_of(each: dict[str, Any]) -> str:
    names = ("records", "stored", "duplicates", "rejected", "dropped")
    return ", ".join(f"{each[name]:,} {name}" for name in names) + (
        f"; {each['imbalance']}" if each["imbalance"] else ""
    )
