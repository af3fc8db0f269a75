"""End to end: senders, ingestion API, store, pipeline, PostgreSQL. Every acknowledged event is checked.

    python examples/end_to_end.py                      starts real servers, 5,000 events, four senders
    python examples/end_to_end.py --events 500 --keep data

`collect_api.py` runs the API in a process of its own. At the end each acknowledged event is looked up by its id: a good
one must be in PostgreSQL once, a faulty one there or in the dead-letter store. If one is missing, its id is printed and
the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import holded_pipeline as hp  # first, since Beam warns of BigQuery if it is imported by itself

# isort: split
import requests
import sqlalchemy as sa
from apache_beam.options.pipeline_options import PipelineOptions
from ingest_to_postgres import ENRICHERS, SCHEMAS, run_job
from own_servers import parser_for
from plain_errors import exit_code_of, print_status
from send_events import Report, print_report, send_all

from holded_pipeline.local.ports import free_ports

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


@contextlib.contextmanager
def api(lake: hp.MinIO, key: str) -> Iterator[str]:
    """Starts the API in a process of its own and yields its URL; at the end stops it, which must succeed."""
    port = free_ports(1)[0]
    command = [sys.executable, str(Path(__file__).parent / "collect_api.py"), "--port", str(port)]
    command += ["--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key]
    env = {**os.environ, "MINIO_SECRET_KEY": lake.secret_key.reveal(), "HOLDED_API_KEY": key}
    process = subprocess.Popen(command, env=env)  # noqa: S603  our own example
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        if process.wait(_STOP_SECONDS) not in (0, -signal.SIGTERM):
            raise hp.HoldedPipelineError(f"the API ended with code {process.returncode}; see its output above")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/ready", timeout=5).ok:
                return
        time.sleep(0.1)
    raise hp.HoldedPipelineError("the API did not get ready; see its output above")


def rows_by_id(db: hp.Postgres) -> Counter[str]:
    """How often each event is in PostgreSQL."""
    engine = db.engine()
    with engine.connect() as connection:
        found = Counter(
            str(row.event_id) for row in connection.execute(sa.text("SELECT event_id FROM business_events"))
        )
    engine.dispose()
    return found


def rejected_ids(lake: hp.MinIO) -> set[str]:
    """The event ids of the rejected records."""
    filesystem = lake.filesystem()
    folder = f"{lake.bucket}/rejected"
    found: set[str] = set()
    for key in filesystem.find(folder) if filesystem.exists(folder) else []:
        for line in gzip.decompress(filesystem.cat(key)).splitlines():
            record = json.loads(json.loads(line)["record"]["content"])
            found.add(record["event_id"])
    return found


def missing(report: Report, samples: Sequence[hp.testing.Sample], db: hp.Postgres, lake: hp.MinIO) -> list[str]:
    """One line for each acknowledged event that is missing or stored twice."""
    rows, rejected = rows_by_id(db), rejected_ids(lake)
    good = {sample.event_id for sample in samples if sample.fault is None}
    wrong = []
    for event_id in sorted(set(report.acknowledged)):
        stored = rows[event_id]
        if stored > 1:
            wrong.append(f"{event_id} is in PostgreSQL {stored} times")
        elif not stored and (event_id in good or event_id not in rejected):
            wrong.append(f"{event_id} was acknowledged and is nowhere")
    return wrong


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments."""
    parser = parser_for(__doc__)
    add = parser.add_argument
    add("--events", type=int, default=5_000, help="how many are sent (default: 5,000)")
    add("--package", type=int, default=20, help="events in a package (default: 20)")
    add("--senders", type=int, default=4, help="senders at one time (default: 4)")
    add("--faults", type=float, default=0.02, help="share of faulty events (default: 0.02)")
    add("--duplicates", type=float, default=0.05, help="share of messages sent a second time (default: 0.05)")
    add("--keep", metavar="DIR", help="keep the servers' data in this folder")
    arguments = parser.parse_args(argv)
    if min(arguments.events, arguments.package, arguments.senders) < 1:
        parser.error("--events, --package and --senders must be more than 0")
    arguments.runner, arguments.input, arguments.subject = "FnApiRunner", "raw/", "{type}"
    arguments.enrichers = ENRICHERS.split(",")
    return arguments


def run(arguments: argparse.Namespace) -> int:
    """Sends, runs the pipeline, checks, and returns the exit code."""
    samples = hp.testing.sample_events(
        arguments.events, seed=secrets.randbits(32), faults=arguments.faults, duplicates=arguments.duplicates
    )
    key = secrets.token_urlsafe(24)
    print_status("starting local servers …")
    with hp.local.stack(arguments.keep) as stack:
        lake, db = stack.minio, stack.postgres
        with api(lake, key) as url:
            print_status(f"{arguments.senders} senders send {len(samples):,} events to {url} …")
            began = time.monotonic()
            report = send_all(url, samples, package=arguments.package, senders=arguments.senders, key=key)
            print_report(report, len(samples), time.monotonic() - began)
        print_status("running the pipeline …")
        done = run_job(lake, db, hp.SchemaDirectory(SCHEMAS), arguments, PipelineOptions([]))
        wrong = missing(report, samples, db, lake)
        print(f"{'read by the pipeline':<32}{done.records:>12,}")
        print(f"{'rows in PostgreSQL':<32}{rows_by_id(db).total():>12,}")
        print(f"{'rejected by the pipeline':<32}{done.rejected_total:>12,}")
    for line in wrong[:20]:
        print(line)
    print(f"each acknowledged event accounted for: {'NO' if wrong else 'yes'}")
    return 1 if wrong or report.lost else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if each acknowledged event is accounted for."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return exit_code_of(partial(run, arguments))


if __name__ == "__main__":
    sys.exit(main())
