"""`key`: API keys for a key file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from holded_pipeline.cli.api_keys import require_api
from holded_pipeline.cli.options import CommandContext, DurationParameter, shared_options
from holded_pipeline.model.errors import ConfigurationError


@click.group("key")
def key_commands() -> None:
    """Make API keys for the file that [api] key_file names."""


@key_commands.command("new")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=["collect"],
    type=click.Choice(["collect", "read", "metrics", "admin"]),
    help="What the key may do; several times for several.  [default: collect]",
)
@click.option("--company", "companies", multiple=True, metavar="ID", help="The account id it may send events of.")
@click.option("--expires", type=DurationParameter(), help="When it ends, from now on, e.g. 90d.  [default: never]")
@shared_options(config=False)
def new_key(
    context: CommandContext, name: str, *, scopes: tuple[str, ...], companies: tuple[str, ...], expires: float | None
) -> None:
    """Make a random key for the client NAME.

    The entry for the key file goes to stdout. The key itself goes to stderr, once: the file has only its hash.

    \b
    Example:
      holded-pipeline key new shop --scope collect --company 5aa9d24b0d12d65fe50d0d20 --expires 90d >> keys.toml
    """  # noqa: D301  \b keeps the lines of the example as they are
    require_api()
    from holded_pipeline.api.access.new_key import make_key  # noqa: PLC0415  it needs the extra `api`

    expires_at = None if expires is None else datetime.now(UTC) + timedelta(seconds=expires)
    try:
        made = make_key(name, scopes=scopes, companies=companies or None, expires_at=expires_at)
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigurationError(str(error)) from error
    if not context.out.as_json:
        context.out.say(f"the key of {name}, which is shown this once: {made.key}")
    context.out.document({"key": made.key, "entry": made.document()}, made.toml())
