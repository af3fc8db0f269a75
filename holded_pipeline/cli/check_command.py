"""`check`: is everything as a run needs it?"""

from __future__ import annotations

import click

from holded_pipeline.cli.checks.every_check import Check, all_checks
from holded_pipeline.cli.exit_codes import ExitCode, exit_code_of
from holded_pipeline.cli.failures import sentence_of
from holded_pipeline.cli.options import CommandContext, DurationParameter, shared_options
from holded_pipeline.cli.output import Output
from holded_pipeline.model.errors import HoldedPipelineError


@click.command("check")
@click.option(
    "--deadline",
    type=DurationParameter(),
    default="5s",
    metavar="DURATION",
    help="How long a server may take.  [default: 5s]",
)
@shared_options()
def check_command(context: CommandContext, *, deadline: float) -> None:
    """Check servers, grants, schemas, plugins and clocks: a line each, and what to do.

    All checks are made, also after one that failed. To see whether it may write, it writes an empty object below the
    prefixes `enriched` and `rejected`, and deletes it; where it may not delete, the object stays and does no harm.
    Nothing in the database is changed. With --json there is a line of JSON for each check.
    """
    failed = [
        code
        for check in all_checks(context.settings, deadline)
        if (code := _print_outcome(check, context.out)) is not ExitCode.OK
    ]
    if failed:
        context.out.say(f"{len(failed)} of the checks failed")
        click.get_current_context().exit(min(failed))


def _print_outcome(check: Check, out: Output) -> ExitCode:
    try:
        found = check.run()
    except Exception as error:  # noqa: BLE001  the other checks are made, too
        code = exit_code_of(error) if isinstance(error, HoldedPipelineError | ValueError) else ExitCode.WRONG_USAGE
        what = sentence_of(error)
        out.line({"check": check.name, "ok": False, "detail": what}, f"FAIL {check.name}: {what}")
        return code
    out.line({"check": check.name, "ok": True, "detail": found}, f"ok   {check.name}: {found}")
    return ExitCode.OK
