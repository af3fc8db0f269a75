"""Options that many commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from holded_pipeline.cli.durations import parse_duration
from holded_pipeline.cli.output import Output
from holded_pipeline.cli.settings import Settings
from holded_pipeline.cli.settings_file import DEFAULT_FILE, read_settings
from holded_pipeline.store.shards import Shard

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen
class CommandContext:
    """What the shared options of a command say.

    Attributes:
        path: the file of settings.
        out: how results are printed.
    """

    path: Path
    out: Output

    @property
    def settings(self) -> Settings:
        """The settings, read now."""
        return read_settings(self.path)


class DurationParameter(click.ParamType[float]):
    """A duration such as 60s or 5m, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; a wrong text is a usage error."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class BudgetParameter(click.ParamType[float]):
    """A number of records, or a share such as 5% or 0.05."""

    name = "budget"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """An int is a number of records, a float a share."""
        text = str(value).strip()
        try:
            if text.endswith("%"):
                return float(text[:-1]) / 100
            return int(text) if text.isdigit() else float(text)
        except ValueError:
            self.fail(f"{value!r} is neither a number of records nor a share; write 100, 5% or 0.05", param, ctx)


class ShardParameter(click.ParamType[tuple[int, int]]):
    """A run of several, such as 0/8 for the first of eight."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The number of the run, from 0, and how many there are."""
        index, _, count = str(value).partition("/")
        try:
            shard = Shard.of((int(index), int(count)))
        except ValueError as error:
            self.fail(f"{value!r} is no shard ({error}); write 0/8 for the first of 8, 7/8 for the last", param, ctx)
        return shard.index, shard.count


def shared_options(*, config: bool = True, json: bool = True) -> Callable[[F], F]:
    """Adds the shared options to a command, which is given a `CommandContext` first."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_context(*args: Any, **kwargs: Any) -> Any:
            path = kwargs.pop("config", None) or Path(DEFAULT_FILE)
            out = Output(as_json=kwargs.pop("as_json", False))
            return function(CommandContext(path, out), *args, **kwargs)

        decorated: Any = with_context  # with the parameters that click keeps as an attribute of the function
        if json:
            decorated = click.option("--json", "as_json", is_flag=True, help="JSON to stdout; words to stderr.")(
                decorated
            )
        if config:
            decorated = _CONFIG(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


_CONFIG = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="HOLDED_PIPELINE_CONFIG",
    help=f"The file of settings, by default {DEFAULT_FILE} here, or the one that HOLDED_PIPELINE_CONFIG names.",
)
