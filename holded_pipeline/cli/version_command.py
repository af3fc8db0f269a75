"""`version`: of this library and of what it stands on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from holded_pipeline.cli.options import CommandContext, shared_options

_PACKAGES: Final = ("holded-pipeline", "apache-beam", "sqlalchemy", "psycopg", "s3fs", "fastapi", "rich")


@click.command("version")
@shared_options(config=False)
def version_command(context: CommandContext) -> None:
    """Show the versions of this library, of Python, of Beam and of the drivers."""
    found = installed_versions()
    context.out.document(found, "\n".join(f"{name} {number}" for name, number in found.items()))


def installed_versions() -> dict[str, str]:
    """The versions by name; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
