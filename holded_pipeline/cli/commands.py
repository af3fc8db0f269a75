"""All commands, in one group."""

from __future__ import annotations

import importlib
from typing import Final

import click

from holded_pipeline.cli.failures import Commands, quiet_logs

_COMMANDS: Final = {
    "up": ("up_command", "Start the whole system on this machine."),
    "init": ("init_command", "Write a file of settings."),
    "check": ("check_command", "Check servers, grants, schemas, plugins and clocks."),
    "run": ("run_command", "Run the pipeline, once or again and again."),
    "serve": ("serve_command", "Serve the ingestion API."),
    "key": ("key_commands", "Make API keys for a key file."),
    "rejected": ("rejected_commands", "List, show, forecast and replay rejected records."),
    "runs": ("runs_commands", "List the runs that were made, show what one did."),
    "ledger": ("ledger_commands", "List what is settled, forget it, prune it."),
    "leftovers": ("leftovers_command", "List and remove what failed runs have left."),
    "plugins": ("plugins_command", "List enrichers, envelopes and quality rules."),
    "version": ("version_command", "Show versions."),
}
"""The commands in the order of the help, with the file of each and what it is for.

A file is imported when its command is used: those of the API need an extra."""
EPILOG: Final = """\b
Examples:
  holded-pipeline up                        the whole system on this machine, until Ctrl-C
  holded-pipeline init                      write holded-pipeline.toml
  holded-pipeline check                     are servers, grants, schemas and plugins as they must be?
  holded-pipeline run                       one run
  holded-pipeline run --every 60s           runs until SIGTERM or Ctrl-C
  holded-pipeline runs list --json          what the last runs did

\b
Exit codes:
  0    all went well
  1    a run failed, or its records are not accounted for
  2    the command line, the file or a setting is wrong
  3    a server did not answer
  4    more records were rejected than the error budget allows
  130  interrupted by Ctrl-C
"""


class _LazyCommands(Commands):
    """Imports the file of a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click passes it
        """The names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name; None if there is none."""
        if cmd_name not in _COMMANDS:
            return None
        name, _ = _COMMANDS[cmd_name]
        found: click.Command = getattr(importlib.import_module(f"holded_pipeline.cli.{name}"), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes what each is for, without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])


@click.group(cls=_LazyCommands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks and what Beam logs.")
def commands(*, debug: bool) -> None:
    """Events from an S3-compatible store, checked and enriched, into PostgreSQL; nothing is lost."""
    quiet_logs(debug=debug)
