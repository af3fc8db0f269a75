"""The entry point of `holded-pipeline`."""

from __future__ import annotations

import sys

from holded_pipeline.model.install_lines import install_line


def main() -> None:
    """Runs the command; without the extra `cli` it says what to install."""
    try:
        import click  # noqa: F401, PLC0415  asked for first, so that the error says what to install
    except ModuleNotFoundError:
        sys.stderr.write(f"error: the command needs click, which is not installed; run: {install_line('cli')}\n")
        sys.exit(2)
    try:
        from holded_pipeline.cli.commands import commands  # noqa: PLC0415  it needs click

        commands(prog_name="holded-pipeline")
    except KeyboardInterrupt:  # before a command has begun
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
