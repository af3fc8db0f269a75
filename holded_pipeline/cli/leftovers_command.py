"""`leftovers`: objects that runs which failed or died have left."""

from __future__ import annotations

from datetime import timedelta

import attrs
import click

from holded_pipeline.cli.flow import Flow
from holded_pipeline.cli.options import CommandContext, DurationParameter, shared_options
from holded_pipeline.runs.leftovers import leftovers


@click.command("leftovers")
@click.option(
    "--older-than",
    type=DurationParameter(),
    default="1d",
    metavar="DURATION",
    help="How old they are, and how long ago their runs ended.  [default: 1d]",
)
@click.option("--remove", is_flag=True, help="Delete them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared_options()
def leftovers_command(context: CommandContext, *, older_than: float, remove: bool, yes: bool) -> None:
    """List the objects below the prefix `enriched` that runs which failed or died have left.

    No manifest names them. They cost room, and who reads the prefix without manifests sees their events twice.

    \b
    Example:
      holded-pipeline leftovers --remove --yes
    """  # noqa: D301  \b keeps the lines of the example as they are
    flow = Flow.of(context.settings)
    found = leftovers(flow.db, flow.lake, flow.settings.flow.enriched, older_than=timedelta(seconds=older_than))
    if not remove:
        rows = [attrs.asdict(each) for each in found]
        context.out.table(rows, ("key", "run_id", "bytes", "modified"), nothing="there are no leftovers")
        return
    if not yes:
        click.confirm("The leftovers are deleted for good. Go on?", abort=True, err=True)
    count = found.remove()
    context.out.document({"removed": count}, f"{count:,} objects removed")
