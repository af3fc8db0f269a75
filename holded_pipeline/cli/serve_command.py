"""`serve`: the ingestion API."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

import click

from holded_pipeline.cli.api_keys import KEY_VARIABLE, LogFormat, build_app, require_api
from holded_pipeline.cli.exit_codes import ExitCode, exit_code_of
from holded_pipeline.cli.failures import sentence_of
from holded_pipeline.cli.flow import Flow
from holded_pipeline.cli.options import CommandContext, shared_options
from holded_pipeline.cli.settings import Settings
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.transforms.beam.run_errors import error_for_user


@click.command("serve")
@click.option("--host", help="The address to listen on, instead of the file's.")
@click.option("--port", type=click.IntRange(0, 65_535), help="The port to listen on, instead of the file's.")
@click.option("--workers", type=click.IntRange(1), help="How many processes serve, instead of the file's.")
@click.option("--log-format", type=click.Choice(("text", "json")), help="json: a JSON line for each request, and all.")
@shared_options(json=False)
def serve_command(
    context: CommandContext, *, host: str | None, port: int | None, workers: int | None, log_format: LogFormat | None
) -> None:
    """Serve the ingestion API: POST /collect answers when the store has confirmed the events.

    The keys of clients are in the environment: HOLDED_API_KEY, or HOLDED_API_KEY_<NAME> for several. Such a key may
    send events, and [api.keys.NAME] gives it other scopes. Or [api] key_file names a file with hashes of keys.
    Without keys it listens on loopback alone. SIGTERM or Ctrl-C stops it, after everything that it accepted is stored.

    \b
    Example:
      HOLDED_API_KEY=... holded-pipeline serve --host 0.0.0.0
    """  # noqa: D301  \b keeps the lines of the example as they are
    require_api()
    settings = context.settings
    log_format = log_format or settings.api.log_format
    from holded_pipeline.api.watching.json_logging import process_logging  # noqa: PLC0415  it needs the extra `api`

    with process_logging(log_format, "warning"), _as_json_too(log_format):
        say = context.out.say if log_format == "text" else _log_words
        _serve(settings, say, host=host, port=port, workers=workers, log_format=log_format)


def _serve(
    settings: Settings,
    say: Callable[[str], None],
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    log_format: LogFormat,
) -> None:
    from holded_pipeline.api import serve  # noqa: PLC0415  it needs the extra `api`

    api = settings.api
    host = host or api.host
    app = build_app(Flow.of(settings), log_format=log_format)
    port = require_free_port(host, api.port if port is None else port)
    if not app.state.service.authenticator.has_keys:
        say(f"no key is set in {KEY_VARIABLE} or [api] key_file: requests from this machine alone are answered")
    certificate, private_key = (
        None if file is None else settings.folder / file for file in (api.certificate, api.private_key)
    )
    say(f"http{'' if certificate is None else 's'}://{host}:{port}/docs shows the calls")
    with _ending_well():
        serve(
            app,
            host=host,
            port=port,
            proxy=api.proxy,
            certificate=certificate,
            private_key=private_key,
            health_port=api.health_port,
            workers=workers or api.workers,
            log_level="warning",
        )


@contextlib.contextmanager
def _as_json_too(log_format: LogFormat) -> Iterator[None]:
    """With `json` the error that ends the command is a log line, too."""
    try:
        yield
    except Exception as error:
        if log_format == "text" or click.get_current_context().find_root().params.get("debug"):
            raise
        cause = error_for_user(error)
        _log_words(sentence_of(cause), logging.ERROR)
        click.get_current_context().exit(exit_code_of(cause))


def _log_words(text: str, level: int = logging.INFO) -> None:
    """Logs a line of any level: what people are said is no detail."""
    name = "holded_pipeline.api"
    logging.getLogger().handle(logging.LogRecord(name, level, __file__, 0, text, None, None))


@contextlib.contextmanager
def _ending_well() -> Iterator[None]:
    """SIGTERM and Ctrl-C are how a server ends: exit code 0. uvicorn finishes its work, and then raises them again."""
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(_: int, __: object) -> NoReturn:
    sys.exit(ExitCode.OK)


def require_free_port(host: str, port: int) -> int:
    """The port, or a free one for 0.

    Raises:
        ConfigurationError: nothing can listen there.
    """
    try:
        with socket.create_server((host, port)) as server:
            found: int = server.getsockname()[1]
            return found
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"the API cannot listen on {host}:{port}: {error}; name another one with --host and --port"
        ) from error
