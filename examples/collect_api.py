"""The ingestion API: POST /collect stores packages of events and answers when the store has confirmed them.

    python examples/collect_api.py                              starts a real store, makes a key and prints it
    python examples/collect_api.py --keep data                  the same, and keeps the events
    python examples/collect_api.py --minio http://localhost:9000 --bucket holded --access-key minioadmin
    python examples/collect_api.py --schemas examples/schemas   events are checked before they are accepted

API keys come from the environment: HOLDED_API_KEY, or several as HOLDED_API_KEY_<NAME>. They may send events; --scopes
collect,read,metrics lets them read as well, as the key that is made may. Or --key-file names a file with hashes of keys
(`holded-pipeline key new`). The store's secret key comes from MINIO_SECRET_KEY. Ctrl-C or SIGTERM stops it, after
everything that it accepted is stored.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from own_servers import (
    Check,
    add_deadline,
    add_schemas,
    add_store,
    exit_if,
    parser_for,
    schemas_of,
    store_checks,
    store_of,
)
from plain_errors import exit_code_of, print_status

import holded_pipeline as hp

if TYPE_CHECKING:
    from holded_pipeline.api import ApiKey, KeyFile

_VARIABLE = "HOLDED_API_KEY"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments."""
    parser = parser_for(__doc__)
    add_store(parser)
    add_schemas(parser, without="events are then checked before they are accepted")
    add = parser.add_argument
    add("--host", default="localhost", help="address to listen on (default: localhost); others need keys")
    add("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    add("--keep", metavar="DIR", help="keep the local store's data in this folder")
    add("--no-keys", action="store_true", help="answer this machine without a key")
    add("--scopes", default="collect", help="what keys of the environment may do (default: collect)")
    add("--key-file", metavar="FILE", help="a file of keys, each with its scopes")
    add("--proxy", metavar="ADDRESS", help="the reverse proxy whose X-Forwarded-For is trusted")
    add("--health-port", metavar="PORT", type=int, help="a second port, for /health, /ready and /metrics alone")
    add("--workers", type=int, default=1, help="processes that serve (default: 1)")
    add("--log-format", choices=("text", "json"), default="text", help="json: a JSON line for each request, and all")
    add("--rate", default="1000/second", help="requests for each key (default: 1000/second), or none")
    add("--max-wait", metavar="SECONDS", type=float, default=0.02, help="how long packages wait for others")
    add("--group-packages", metavar="N", type=int, default=10_000, help="packages in one object; 1 for an object each")
    add("--spool", metavar="DIR", help="a folder on the local disk that takes events while the store does not answer")
    add_deadline(parser, default=10.0, help_text="seconds until a 503 is answered (default: 10)")
    arguments = parser.parse_args(argv)
    exit_if(parser, *store_checks(arguments), *_argument_checks(arguments))
    return arguments


def _argument_checks(a: argparse.Namespace) -> tuple[Check, ...]:
    """Further checks of the arguments, as in `store_checks`."""
    return (
        (a.minio and a.keep, "--keep is for a local store, and --minio names yours"),
        (
            a.host not in _LOOPBACK and not a.key_file and not _keys_of_environment(),
            f"without API keys the API listens on loopback alone, not on {a.host}; set {_VARIABLE}",
        ),
        (a.workers < 1, "--workers must be at least 1"),
        (a.no_keys and _keys_of_environment(), f"--no-keys contradicts the environment variable {_VARIABLE}"),
        (a.key_file and (a.no_keys or _keys_of_environment()), f"--key-file stands alone, without {_VARIABLE}"),
    )


def _keys_of_environment() -> dict[str, hp.Secret]:
    """The API keys in the environment, by name."""
    found = {"default": hp.Secret.env(_VARIABLE)} if os.environ.get(_VARIABLE) else {}
    for variable in sorted(os.environ):
        if variable.startswith(f"{_VARIABLE}_") and os.environ[variable]:
            found[variable.removeprefix(f"{_VARIABLE}_").lower()] = hp.Secret.env(variable)
    return found


def keys_of(arguments: argparse.Namespace) -> Mapping[str, ApiKey] | KeyFile:
    """The file of API keys, or those in the environment; without any, a new random one, which is printed."""
    from holded_pipeline.api import ApiKey, KeyFile  # noqa: PLC0415  so that its error says what to install

    if arguments.key_file:
        file = KeyFile(arguments.key_file)
        file.load()  # to say now what is wrong with it
        return file
    keys = _keys_of_environment()
    if arguments.no_keys or keys:
        return {name: ApiKey(key, scopes=arguments.scopes.split(",")) for name, key in keys.items()}
    key = secrets.token_urlsafe(24)
    print_status(f"API key of this run (set your own in {_VARIABLE}): {key}")
    return {"temporary": ApiKey(key, scopes=["collect", "read", "metrics"])}


@contextlib.contextmanager
def store(arguments: argparse.Namespace) -> Iterator[hp.MinIO]:
    """The user's own store, or a local one."""
    if arguments.minio is not None:
        yield store_of(arguments)
        return
    print_status("starting a local store …")
    with hp.local.stack(arguments.keep) as local:
        print_status(f"events go to {local.minio.endpoint}, bucket {local.minio.bucket}")
        yield local.minio


def run(arguments: argparse.Namespace) -> int:
    """Runs the API until it is stopped."""
    try:
        from holded_pipeline.api import Limits, Spool, Writing, create_app, serve  # noqa: PLC0415  so that its error says what to install
    except ModuleNotFoundError as error:
        raise hp.ConfigurationError(str(error)) from error
    keys = keys_of(arguments)
    spool = None if arguments.spool is None else Spool(arguments.spool)
    if spool is not None:
        spool.check()
    with store(arguments) as lake, contextlib.suppress(KeyboardInterrupt):
        app = create_app(
            lake,
            keys=keys,
            schemas=schemas_of(arguments),
            subject=arguments.subject,
            limits=Limits(rate=None if arguments.rate == "none" else arguments.rate),
            writing=Writing(
                max_wait=arguments.max_wait, group_packages=arguments.group_packages, store_seconds=arguments.deadline
            ),
            spool=spool,
            log_format=arguments.log_format,
        )
        print_status(f"http://{arguments.host}:{arguments.port}/docs shows the calls")
        serve(
            app,
            host=arguments.host,
            port=arguments.port,
            proxy=arguments.proxy,
            health_port=arguments.health_port,
            workers=arguments.workers,
            log_level="warning",
        )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until a signal stops it; the exit code is the signal's, as of other servers (143 for SIGTERM)."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return exit_code_of(partial(run, arguments))


if __name__ == "__main__":
    sys.exit(main())
