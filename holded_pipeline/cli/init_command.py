"""`init`: writes the file of settings."""

from __future__ import annotations

from pathlib import Path

import click

from holded_pipeline.cli.options import CommandContext, shared_options
from holded_pipeline.cli.template import TEMPLATE
from holded_pipeline.model.errors import ConfigurationError


@click.command("init")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@shared_options(json=False)
def init_command(context: CommandContext, *, force: bool) -> None:
    """Write a commented file of settings, holded-pipeline.toml, to fill in.

    \b
    Example:
      holded-pipeline init && $EDITOR holded-pipeline.toml && holded-pipeline check
    """  # noqa: D301  \b keeps the lines of the example as they are
    _write_template(context.path, force=force)
    context.out.say(
        f"wrote {context.path}; fill it in, set the variables that it names, and run: holded-pipeline check"
    )


def _write_template(path: Path, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already; --force replaces it") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
