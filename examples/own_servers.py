"""The servers of an example: those that its command line names, or local ones that it starts and stops.

Secrets come from the environment: MINIO_SECRET_KEY and PGPASSWORD.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
from collections.abc import Iterator

from plain_errors import print_status

import holded_pipeline as hp

Check = tuple[object, str]


def above_zero(text: str) -> float:
    """Parses a finite number above 0; argparse reports anything else as an error."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number more than 0, got {text!r}")
    return number


def parser_for(description: str | None, *, takes: str = "[options]") -> argparse.ArgumentParser:
    """A parser with short errors, whose help is the docstring of the example."""
    return argparse.ArgumentParser(
        usage=f"%(prog)s {takes}; --help lists them",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_store(parser: argparse.ArgumentParser, *, without: str = "without it a local one is started") -> None:
    """Adds the arguments that name a store."""
    add = parser.add_argument
    add("--minio", metavar="URL", help=f"your S3-compatible store; {without}")
    add("--bucket", default="holded", help="its bucket (default: holded)")
    add("--access-key", help="its access key; the secret one comes from MINIO_SECRET_KEY")
    add("--region", default="us-east-1", help="its region (default: us-east-1); most stores take any")


def add_database(parser: argparse.ArgumentParser, *, without: str = "without it a local one is started") -> None:
    """Adds the arguments that name a database, and the deadline of retries."""
    add = parser.add_argument
    add("--postgres", metavar="URL", help=f"your database; {without}")
    add_deadline(parser, default=60.0, help_text="seconds until which an outage is retried (default: 60)")


def add_deadline(parser: argparse.ArgumentParser, *, default: float, help_text: str) -> None:
    """Adds `--deadline`, and its old name `--patience`, which the help does not show."""
    add = parser.add_argument
    add("--deadline", metavar="SECONDS", type=above_zero, default=default, help=help_text)
    add("--patience", dest="deadline", type=above_zero, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def add_schemas(parser: argparse.ArgumentParser, *, without: str) -> None:
    """Adds the arguments that name schemas."""
    add = parser.add_argument
    add("--schemas", metavar="DIR", help=f"a directory of schemas ({without})")
    add("--registry", metavar="URL", help="a schema registry instead")
    add("--subject", default="{type}", help='subject of the schemas, as text or template (default: "{type}")')


def store_key_checks(a: argparse.Namespace) -> tuple[Check, ...]:
    """Checks of the arguments that name a store: pairs of whether something is wrong, and the message."""
    return (
        (a.minio and not a.access_key, "--minio needs --access-key"),
        (
            a.minio and not os.environ.get("MINIO_SECRET_KEY"),
            "--minio needs the secret key in the environment variable MINIO_SECRET_KEY",
        ),
    )


def store_checks(a: argparse.Namespace) -> tuple[Check, ...]:
    """Checks of the arguments that name a store and schemas, as in `store_key_checks`."""
    return (*store_key_checks(a), (a.schemas and a.registry, "--schemas and --registry exclude each other"))


def exit_if(parser: argparse.ArgumentParser, *checks: Check) -> None:
    """Ends the program with the message of the first check that is true."""
    for is_wrong, message in checks:
        if is_wrong:
            parser.error(message)


def store_of(arguments: argparse.Namespace) -> hp.MinIO:
    """The user's own store."""
    return hp.MinIO(
        arguments.minio,
        bucket=arguments.bucket,
        access_key=arguments.access_key,
        secret_key=hp.Secret.env("MINIO_SECRET_KEY"),
        region=arguments.region,
        retry=hp.Retry(arguments.deadline),
    )


def database_of(arguments: argparse.Namespace) -> hp.Postgres:
    """The user's own database."""
    password = hp.Secret.env("PGPASSWORD") if "PGPASSWORD" in os.environ else None
    return hp.Postgres(arguments.postgres, password=password, retry=hp.Retry(arguments.deadline))


def schemas_of(arguments: argparse.Namespace) -> hp.SchemaRegistry | hp.SchemaDirectory | None:
    """The schemas that the user named, if any."""
    if arguments.registry:
        return hp.SchemaRegistry(arguments.registry, retry=hp.Retry(arguments.deadline))
    return hp.SchemaDirectory(arguments.schemas) if arguments.schemas else None


@contextlib.contextmanager
def servers(arguments: argparse.Namespace, *, keep: str | None = None) -> Iterator[tuple[hp.MinIO, hp.Postgres]]:
    """The user's own servers, and local ones instead of those that were not named."""
    lake = store_of(arguments) if arguments.minio else None  # first, since a wrong URL needs no server to be seen
    db = database_of(arguments) if arguments.postgres else None
    if lake is not None and db is not None:
        yield lake, db
        return
    print_status("starting local servers …")
    with hp.local.stack(keep) as local:
        yield lake or local.minio, db or local.postgres
