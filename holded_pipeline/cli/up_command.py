"""`up`: the whole system on one machine."""

from __future__ import annotations

import contextlib
import json
import shlex
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from holded_pipeline import testing
from holded_pipeline.cli.api_keys import build_app, require_api
from holded_pipeline.cli.connections import schemas_of
from holded_pipeline.cli.flow import Flow
from holded_pipeline.cli.options import CommandContext, DurationParameter, shared_options
from holded_pipeline.cli.output import Output
from holded_pipeline.cli.run_command import line_of
from holded_pipeline.cli.serve_command import require_free_port
from holded_pipeline.cli.settings import DatabaseSettings, SchemaSettings, Settings, StoreSettings
from holded_pipeline.cli.way_in import shell_text, way_in
from holded_pipeline.local.stacks import Stack, stack
from holded_pipeline.postgres.migrate import migrate
from holded_pipeline.reading.holded_envelope import CONTEXT, MESSAGE_ID, TIMESTAMP
from holded_pipeline.runs.run_report import RunReport
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.transforms.run_every import run_every

_HOST = "localhost"
_COMPANY = "b5fb12e0d9090b8906555096"


@click.command("up")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Keep the data there.")
@click.option("--samples", type=click.IntRange(0), default=0, metavar="N", help="Store so many sample events first.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8000, help="Of the API; 0 for a free one.  [default: 8000]"
)
@click.option(
    "--every", type=DurationParameter(), default="5s", metavar="DURATION", help="Between runs.  [default: 5s]"
)
@click.option(
    "--schemas",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Check events by the schemas there.",
)
@click.option("--partition-by", type=click.Choice(["month"]), help="Keep the events in partitions.")
@click.option("--show-secrets", is_flag=True, help="Print the password and the secret key, too.")
@shared_options(config=False)
def up_command(context: CommandContext, **options: Any) -> None:
    """Start the whole system on this machine: a store, a database, the API, and a run each few seconds.

    No file is needed. Ctrl-C stops it all, after the run that is going on; without --keep the data are deleted.
    Without --schemas events are not checked. Other users of this machine reach neither server: each wants a secret,
    which is in a file that only you can read.

    \b
    Examples:
      holded-pipeline up
      holded-pipeline up --keep data --samples 20000
    """  # noqa: D301  \b keeps the lines of the examples as they are
    require_api()
    out = context.out
    port = require_free_port(_HOST, options["port"])
    out.say("starting a store and a database …")
    with stack(options["keep"]) as local:
        flow = flow_over(local, options["schemas"])
        migrate(flow.db, partition_by=options["partition_by"])
        _store_samples(flow, options["samples"])
        with _serving(flow, port), way_in(local, flow.settings) as variables:
            announce(local, port, flow.settings, variables, out, show_secrets=options["show_secrets"])
            run_every(
                flow.ingest,
                flow.db,
                name=flow.settings.flow.name,
                every=options["every"],
                on_report=lambda report: show_new(report, out),
            )
        out.say("stopping …")


def flow_over(local: Stack, schemas: Path | None) -> Flow:
    """The flow over local servers; their secret key stays in this process."""
    lake, db = local.minio, local.postgres
    settings = Settings(
        store=StoreSettings(endpoint=lake.endpoint, bucket=lake.bucket, access_key=lake.access_key),
        database=DatabaseSettings(url=db.url),
        schemas=SchemaSettings(directory=None if schemas is None else str(schemas.resolve())),
    )
    return Flow(settings, lake, db, *schemas_of(settings))


def _store_samples(flow: Flow, count: int) -> None:
    if count:
        lines = testing.sample_lines(testing.sample_events(count, seed=7, faults=0.02))
        with contextlib.closing(ObjectStore(flow.lake)) as store:
            store.write(f"{flow.settings.flow.raw}samples-{count}.jsonl", lines)


@contextlib.contextmanager
def _serving(flow: Flow, port: int) -> Iterator[None]:
    app = build_app(flow)
    from holded_pipeline.api.serving.background import serving_in_thread  # noqa: PLC0415  it needs the extra `api`

    with serving_in_thread(app, host=_HOST, port=port):
        yield


def announce(local: Stack, port: int, settings: Settings, variables: Path, out: Output, *, show_secrets: bool) -> None:
    """Says where all is, and what to try."""
    lake, api = local.minio, f"http://{_HOST}:{port}"
    secrets = local.environment() if show_secrets else {}
    directory = settings.schemas.directory
    found = {
        "api": api,
        "store": lake.endpoint,
        "bucket": lake.bucket,
        "access_key": lake.access_key,
        "database": local.postgres.url,
        "folder": str(local.folder),
        "schemas": directory,
        "environment": str(variables),
    }
    words = (
        f"API       {api}/docs",
        f"store     {lake.endpoint}, bucket {lake.bucket}, access key {lake.access_key}",
        f"database  {local.postgres.url}",
        f"data      {local.folder}",
        "schemas   none: EVENTS ARE NOT CHECKED; give --schemas DIR to check them"
        if directory is None
        else f"schemas   {directory}",
        "",
        "Send an event:",
        f"  curl {api}/collect -H 'Content-Type: application/json' -d '{example_event()}'",
        "In another shell, give other programs the addresses and secrets, from a file that only you can read:",
        f"  . {shlex.quote(str(variables))}",
        "and see the event's row a few seconds later, or what is in the store:",
        "  psql -c 'SELECT * FROM business_events'",
        f"  aws s3 ls --recursive s3://{lake.bucket}/",
        "and what was rejected, with its reason; then the object and the line that it came from:",
        "  holded-pipeline rejected list",
        "  holded-pipeline rejected show ID",
        *(("", *shell_text(secrets).splitlines(), "") if show_secrets else ()),
        "Ctrl-C stops it all.",
    )
    out.line(found | ({"variables": secrets} if show_secrets else {}), "\n".join(words))


def example_event() -> str:
    """A small event as Holded's services send it, without an apostrophe, which a shell would take for the end."""
    headers = {
        "type": "Holded\\Crm\\Domain\\Contact\\Events\\ContactCreatedEvent",
        CONTEXT: {"accountId": _COMPANY, "userId": "0ff18e0242af9fc385776e9a"},
        TIMESTAMP: {"dispatchedAt": int(time.time() * 1_000)},
        MESSAGE_ID: {"id": str(uuid.uuid4())},
    }
    return json.dumps({"data": {"id": "my-contact", "companyId": _COMPANY, "name": "Ada"}, "headers": headers})


def show_new(report: RunReport, out: Output) -> None:
    """Prints a run that read something or failed, and why records were rejected."""
    if report.records or report.state == "failed":
        reasons = [
            f"  {number:,} rejected by {stage}: {reason}"
            for stage, numbers in report.rejected.items()
            for reason, number in numbers.items()
        ]
        out.line(report.to_dict(), "\n".join([line_of(report), *reasons]))
