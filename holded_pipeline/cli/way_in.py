"""Two files by which other programs reach the servers of `up`: settings for this command, and variables for a shell."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from holded_pipeline.cli.settings import Settings
from holded_pipeline.local.private_files import write_private
from holded_pipeline.local.stacks import Stack

_CONFIG = "HOLDED_PIPELINE_CONFIG"


@contextlib.contextmanager
def way_in(local: Stack, settings: Settings) -> Iterator[Path]:
    """Writes both beside the data, for their owner alone, until the block ends.

    Yields:
        The file with the variables; a shell reads it by `. FILE`.
    """
    config, variables = local.folder / "holded-pipeline.toml", local.folder / "environment"
    write_private(config, _toml_of(settings))
    write_private(variables, shell_text(local.environment() | {_CONFIG: str(config)}))
    try:
        yield variables
    finally:
        for file in (config, variables):  # the next start has other ports
            file.unlink(missing_ok=True)


def shell_text(variables: Mapping[str, str]) -> str:
    """Lines that a shell reads."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _toml_of(settings: Settings) -> str:
    store = {"endpoint": settings.store.endpoint, "bucket": settings.store.bucket}
    sections = {
        "store": {**store, "access_key": settings.store.access_key},
        "database": {"url": settings.database.url},
        "schemas": {} if settings.schemas.directory is None else {"directory": settings.schemas.directory},
    }
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in section.items())
        for name, section in sections.items()
    )
