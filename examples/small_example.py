"""What the small examples share: their command line, their sample records, and what they print at the end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from botocore.exceptions import BotoCoreError
from own_servers import add_database, add_store, exit_if, parser_for, servers, store_key_checks
from plain_errors import exit_code_of, print_status

import holded_pipeline as hp

_LONGEST = 140


def run_on_servers(
    description: str | None, show: Callable[[hp.MinIO, hp.Postgres], int], argv: Sequence[str] | None = None
) -> int:
    """Runs an example on local servers, or on those that its command line names; returns the exit code."""
    parser = parser_for(description)
    add_store(parser)
    add_database(parser)
    parser.add_argument("--keep", metavar="DIR", help="keep the local servers' data in this folder")
    arguments = parser.parse_args(argv)
    both_are_named = bool(arguments.minio and arguments.postgres)
    exit_if(
        parser,
        *store_key_checks(arguments),
        (both_are_named and arguments.keep, "--keep is for local servers, and both servers are yours"),
    )

    def run() -> int:
        with servers(arguments, keep=arguments.keep) as (lake, db):
            return show(lake, db)

    return exit_code_of(run)


def run_in_folder(description: str | None, show: Callable[[Path], int], argv: Sequence[str] | None = None) -> int:
    """Runs an example that needs files alone, in a temporary folder or in one of the user; returns the exit code."""
    parser = parser_for(description)
    parser.add_argument("--folder", metavar="DIR", help="read and write here (default: a temporary folder)")
    arguments = parser.parse_args(argv)

    def run() -> int:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(arguments.folder or temporary)
            folder.mkdir(parents=True, exist_ok=True)
            return show(folder)

    return exit_code_of(run)


def lines_of(records: Iterable[Any]) -> bytes:
    """JSON lines; a record that is text is a line as it stands, such as one that is no JSON."""
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    return "".join(f"{line}\n" for line in lines).encode()


def store_sample(lake: hp.MinIO, key: str, body: bytes) -> None:
    """Stores the sample of an example; the same sample under the same key is the same version of an object."""
    print_status(f"storing a sample as {lake.bucket}/{key} …")
    try:
        lake.filesystem().pipe(f"{lake.bucket}/{key}", body)
    except (OSError, BotoCoreError) as error:
        raise hp.ConfigurationError(
            f"{key} cannot be stored in the bucket {lake.bucket!r} of the {lake}: {error}; "
            "check URL, bucket, access key and secret key"
        ) from error


def print_rows(db: hp.Postgres, statement: str) -> list[dict[str, Any]]:
    """Prints what a query finds, a line for each row, and returns it."""
    engine = db.engine()
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(sa.text(statement)).mappings()]
    engine.dispose()
    for row in rows:
        print("  " + "  ".join(f"{name}={value}" for name, value in row.items()))
    return rows


def print_rejected(lake: hp.MinIO, prefix: str) -> list[hp.Rejected]:
    """Prints why each record below a prefix was rejected, and returns the rejections."""
    found = list(hp.rejected(lake, prefix))
    for rejected in found:
        print(f"  {rejected.source}  {rejected.stage}: {rejected.reason}  {rejected.message[:_LONGEST]}")
    return found
