"""`run`: one run, or one after the other."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from holded_pipeline.cli.durations import parse_duration
from holded_pipeline.cli.exit_codes import ExitCode, exit_code_of
from holded_pipeline.cli.flow import Flow
from holded_pipeline.cli.options import (
    BudgetParameter,
    CommandContext,
    DurationParameter,
    ShardParameter,
    shared_options,
)
from holded_pipeline.cli.output import Output
from holded_pipeline.cli.settings import Settings
from holded_pipeline.runs.run_report import RunReport
from holded_pipeline.runs.stop_signals import finishing_on_sigterm
from holded_pipeline.transforms.beam.run_errors import error_for_user
from holded_pipeline.transforms.run import run
from holded_pipeline.transforms.run_every import run_every


@click.command("run")
@click.option("--every", type=DurationParameter(), metavar="DURATION", help="Run again and again, e.g. every 60s.")
@click.option("--continuous", is_flag=True, help="Run again and again, as often as the file says.")
@click.option("--max-runs", type=click.IntRange(1), metavar="N", help="End after so many runs.")
@click.option("--max-rejected", type=BudgetParameter(), metavar="LIMIT", help="Error budget: 100, 5% or 0.05.")
@click.option("--shard", type=ShardParameter(), metavar="I/N", help="Run I of N, from 0, that divide the objects.")
@click.option("--strict", is_flag=True, help="A rejected record, or nothing below the raw prefix, fails the run.")
@click.option("--metrics-port", type=click.IntRange(1, 65_535), metavar="PORT", help="Serve /metrics while it runs.")
@click.option("--progress/--no-progress", default=None, help="Show progress.  [default: as fits the terminal]")
@shared_options()
def run_command(context: CommandContext, **options: Any) -> None:
    """Run the pipeline: what is new below the raw prefix is checked, enriched, stored and loaded.

    SIGTERM lets the run finish first; a second one ends it at once. With --every it goes on until SIGTERM or Ctrl-C,
    which finish the run that is going on. Of all processes with one name (`name` of [flow]), on any machine, one runs
    and the others wait to take over.

    \b
    Examples:
      holded-pipeline run --strict
      holded-pipeline run --max-rejected 5%
      holded-pipeline run --every 60s --metrics-port 9100
      holded-pipeline run --shard 0/8
    """  # noqa: D301  \b keeps the lines of the examples as they are
    settings = _with_limits(context.settings, options["max_rejected"], strict=options["strict"])
    every = options["every"] or (parse_duration(settings.runs.every) if options["continuous"] else None)
    if every is None:
        if options["max_runs"] or options["metrics_port"]:
            raise click.UsageError("--max-runs and --metrics-port go with --every or --continuous")
        _make_one_run(Flow.of(settings), context.out, options)
    elif options["shard"]:
        raise click.UsageError("--shard is for single runs; of all processes with --every and one name, one runs")
    else:
        _make_runs(Flow.of(settings), context.out, every, options)


def _make_one_run(flow: Flow, out: Output, options: dict[str, Any]) -> None:
    with finishing_on_sigterm():
        report = run(flow.ingest(options["shard"]), progress=options["progress"], name=flow.settings.flow.name)
    out.document(report.to_dict(), str(report))
    exit_unless_balanced(report, out)


def _make_runs(flow: Flow, out: Output, every: float, options: dict[str, Any]) -> None:
    summary = run_every(
        flow.ingest,
        flow.db,
        name=flow.settings.flow.name,
        every=every,
        max_runs=options["max_runs"],
        metrics_port=options["metrics_port"],
        on_report=lambda report: out.line(report.to_dict(), line_of(report)),
        progress=bool(options["progress"]),
    )
    out.say(f"{summary.succeeded:,} runs succeeded, {summary.failed:,} failed: {summary.ended_because}")
    if summary.last_error is not None:
        failure = summary.last_exception
        code = ExitCode.FAILED if failure is None else exit_code_of(error_for_user(failure))
        click.get_current_context().exit(code)


def exit_unless_balanced(report: RunReport, out: Output) -> None:
    """Ends with 1 if records are not accounted for."""
    if report.is_balanced is False:
        out.say("error: not all records that were read are accounted for, see the report")
        click.get_current_context().exit(ExitCode.FAILED)


def line_of(report: RunReport) -> str:
    """A run in one line."""
    if report.state == "failed":
        return f"{report.run_id or report.name} failed: {report.error}"
    return (
        f"{report.run_id}: {report.records:,} read, {report.stored:,} stored, {report.duplicates:,} duplicates, "
        f"{report.rejected_total:,} rejected, {report.seconds or 0:.1f} s"
    )


def _with_limits(settings: Settings, max_rejected: float | None, *, strict: bool) -> Settings:
    flow = settings.flow
    if strict and max_rejected is not None:
        raise click.UsageError("--strict allows no rejection, so leave out --max-rejected")
    if strict:
        flow = msgspec.structs.replace(flow, max_rejected=0, on_empty="fail")
    elif max_rejected is not None:
        flow = msgspec.structs.replace(flow, max_rejected=max_rejected)
    return msgspec.structs.replace(settings, flow=flow)
