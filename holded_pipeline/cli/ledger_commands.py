"""`ledger`: which objects need not be read again."""

from __future__ import annotations

import itertools

import attrs
import click

from holded_pipeline.cli.flow import Flow
from holded_pipeline.cli.options import CommandContext, shared_options


@click.group("ledger")
def ledger_commands() -> None:
    """List the objects that are settled, forget some, and prune the ledger."""


@ledger_commands.command("list")
@click.argument("pattern", default="")
@click.option("--limit", type=click.IntRange(1), default=100, help="At most so many.  [default: 100]")
@shared_options()
def list_settled(context: CommandContext, pattern: str, *, limit: int) -> None:
    """List the settled objects below PATTERN, a prefix or a glob."""
    flow = Flow.of(context.settings)
    rows = [attrs.asdict(each) for each in itertools.islice(flow.ledger.settled(flow.lake, pattern), limit)]
    context.out.table(rows, tuple(rows[0]) if rows else (), nothing="nothing is settled")


@ledger_commands.command("forget")
@click.argument("pattern")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared_options()
def forget_settled(context: CommandContext, pattern: str, *, yes: bool) -> None:
    """Forget what is settled below PATTERN, so that the next run reads it again; * is everything."""
    flow = Flow.of(context.settings)
    if not yes:
        click.confirm(f"The next run reads all objects that match {pattern!r} again. Go on?", abort=True, err=True)
    count = flow.ledger.forget(flow.lake, pattern)
    context.out.document({"forgotten": count}, f"{count:,} objects forgotten")


@ledger_commands.command("prune")
@shared_options()
def prune_settled(context: CommandContext) -> None:
    """Delete the entries of objects that are no longer in the store, which is listed for that."""
    flow = Flow.of(context.settings)
    count = flow.ledger.prune(flow.lake)
    context.out.document({"pruned": count}, f"{count:,} entries deleted")
