"""How a command ends: one sentence and an exit code, no traceback unless it is asked for."""

from __future__ import annotations

import logging
import re
from typing import Any

import click
import sqlalchemy as sa

from holded_pipeline.cli.exit_codes import exit_code_of
from holded_pipeline.cli.safe_text import SafeFormatter, safe_text
from holded_pipeline.model.errors import HoldedPipelineError
from holded_pipeline.transforms.beam.run_errors import describe_for_user, error_for_user

_CLASS_FIRST = re.compile(r"^[A-Z]\w*Error: ")


class Commands(click.Group):
    """A group whose commands end with a sentence instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; an error becomes its sentence and its exit code."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except BrokenPipeError:  # `| head` has seen enough; click ends it quietly
            raise
        except BaseException as error:
            if isinstance(error, SystemExit) or ctx.find_root().params.get("debug"):
                raise
            cause = error_for_user(error)
            words = "interrupted" if isinstance(cause, KeyboardInterrupt) else f"error: {sentence_of(cause)}"
            click.echo(safe_text(words), err=True)
            ctx.exit(exit_code_of(cause))


def sentence_of(error: BaseException) -> str:
    """What an error says, in one line; an unexpected one with its class."""
    if isinstance(error, HoldedPipelineError | ValueError):
        text = str(error).strip()
        return " ".join(text.split()) if text else type(error).__name__
    if isinstance(error, sa.exc.DBAPIError):
        return " ".join(str(error.orig).split())
    text = " ".join(describe_for_user(error).split())
    return f"{text} (run it with --debug for the traceback)"


def quiet_logs(*, debug: bool) -> None:
    """Warnings of this library go to stderr in one line each; Beam's own words only with `debug`."""
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter(logging.BASIC_FORMAT if debug else "%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("apache_beam").setLevel(logging.WARNING if debug else logging.CRITICAL)
    logging.getLogger("holded_pipeline").setLevel(logging.DEBUG if debug else logging.WARNING)
