"""`version`: of this library and of what it stands on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from holded_pipeline.cli.options import CommandContext, shared_options
from holded_pipeline.compiled import is_compiled

_PACKAGES: Final = ("holded-pipeline", "apache-beam", "sqlalchemy", "psycopg", "s3fs", "fastapi", "rich")


@click.command("version")
@shared_options(config=False)
def version_command(context: CommandContext) -> None:
    """Show the versions of this library, of Python, of Beam and of the drivers, and whether the code in C is used."""
    found = installed_versions()
    context.out.document(found, "\n".join(f"{name} {number}" for name, number in found.items()))


def installed_versions() -> dict[str, str]:
    """The versions by name; a package that is not installed is left out. `compiled` says whether code in C is used."""
    found = {"python": platform.python_version(), "compiled": "yes" if is_compiled() else "no"}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
