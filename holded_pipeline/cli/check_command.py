"""`check`: is everything as a run needs it?"""

from __future__ import annotations

import logging

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
    """Check servers, grants, schemas, plugins, clocks and the API: a line each, and what to do.

    All checks are made, also after one that failed, but for those of a server that cannot be used. To see whether it
    may write, it writes an empty object below the prefixes `enriched` and `rejected`, and deletes it; where it may not
    delete, the object stays and does no harm. With an API key, or an [api] that differs from the defaults, also below
    `raw`, and it checks keys, certificate and ports.
    Nothing in the database is changed. With --json there is a line of JSON for each check.
    """
    if not click.get_current_context().find_root().params.get("debug"):
        logging.getLogger("holded_pipeline").setLevel(logging.ERROR)  # each attempt; what it came to is printed
    failed: dict[str, ExitCode] = {}
    for check in all_checks(context.settings, deadline):
        if check.needs in failed:
            _print_skipped(check, failed[check.needs], context.out)
        elif (code := _print_outcome(check, context.out)) is not ExitCode.OK:
            failed[check.name] = code
    if failed:
        context.out.say(f"{len(failed)} of the checks failed")
        click.get_current_context().exit(min(failed.values()))


def _print_skipped(check: Check, reason: ExitCode, out: Output) -> None:
    words = "does not answer" if reason is ExitCode.NO_ANSWER else "cannot be used"
    what = f"not checked, as the {check.needs} {words}"
    out.line({"check": check.name, "ok": None, "detail": what}, f"skip {check.name}: {what}")


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
