"""The main job on a Dask cluster: one run over all its workers, and only over what is new.

    python examples/ingest_on_dask.py                           a cluster of this machine, real servers, sample events
    python examples/ingest_on_dask.py --workers 4               the same with four workers
    python examples/ingest_on_dask.py --scheduler tcp://10.0.0.5:8786 --minio http://10.0.0.6:9000 --bucket holded \
        --access-key minioadmin --postgres postgresql://holded@10.0.0.7/holded_business

Secrets come from the environment, here and on the workers: MINIO_SECRET_KEY and PGPASSWORD. Start the workers of a
cluster of your own with: dask worker SCHEDULER --nworkers N --nthreads 1 --preload holded_pipeline
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import holded_pipeline as hp  # first, since Beam warns of BigQuery if it is imported by itself

# isort: split
import apache_beam as beam
from distributed import Client
from ingest_report import print_report
from ingest_to_postgres import store_samples
from own_servers import (
    add_database,
    add_schemas,
    add_store,
    exit_if,
    parser_for,
    schemas_of,
    servers,
    store_checks,
)
from plain_errors import exit_code_of, print_status

SAMPLES = 2_000
SCHEMAS = Path(__file__).parent / "schemas"


class IngestShare:
    """The transforms of one share: read, check, enrich, store, load, dead letters, settled."""

    def __init__(
        self,
        lake: hp.MinIO,
        db: hp.Postgres,
        schemas: hp.SchemaDirectory | hp.SchemaRegistry,
        subject: str,
        ledger: hp.Ledger,
    ) -> None:
        self.lake, self.db, self.schemas, self.subject, self.ledger = lake, db, schemas, subject, ledger

    def __call__(self, pipeline: beam.Pipeline, share: hp.ReadPlan) -> None:
        """Applies them; called on a worker."""
        raw = pipeline | hp.ReadMinIO(self.lake, units=share, new_only=self.ledger)
        checked = raw.passed | hp.ValidateSchema(self.schemas, subject=self.subject)
        enriched = checked.passed | hp.Enrich(*hp.STANDARD_ENRICHERS)
        stored = enriched.passed | hp.WriteMinIO(self.lake, "enriched/")
        loaded = enriched.passed | hp.WritePostgres(self.db)
        rejected = (raw.rejected, checked.rejected, enriched.rejected, loaded.rejected)
        written = rejected | hp.WriteRejected(self.lake, "rejected/")
        _ = (stored, loaded, written) | hp.SettleObjects(self.ledger)


def connect(arguments: argparse.Namespace) -> Client:
    """A client of the cluster that was named, or of one on this machine that ends with the client."""
    if arguments.scheduler:
        return Client(arguments.scheduler)
    print_status(f"starting {arguments.workers} workers on this machine …")
    return Client(n_workers=arguments.workers, threads_per_worker=1, dashboard_address=None)


def run_job(client: Client, share: IngestShare, arguments: argparse.Namespace) -> hp.RunReport:
    """One run over what is new: planned here, read by the workers, settled here."""
    plan = hp.plan(share.lake, arguments.input, new_only=share.ledger, unit_bytes=arguments.unit_bytes)
    print_status(f"{plan.objects:,} objects with {plan.bytes:,} bytes are new; running …")
    return hp.run_on_dask(client, share, plan, ledger=share.ledger)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments."""
    parser = parser_for(__doc__)
    add_store(parser)
    add_database(parser)
    add_schemas(parser, without="default: those beside this example")
    add = parser.add_argument
    add("--input", metavar="PREFIX", default="raw/", help="prefix or glob of the objects to read (default: raw/)")
    add("--scheduler", metavar="URL", help="the scheduler of your cluster; without it one is started on this machine")
    add("--workers", metavar="N", type=int, default=2, help="how many workers to start on this machine (default: 2)")
    add("--samples", metavar="N", type=int, help=f"how many sample events to store first (default: {SAMPLES} locally)")
    add("--unit-bytes", metavar="N", type=int, default=16 << 20, help="what a worker reads at a time (default: 16 MiB)")
    arguments = parser.parse_args(argv)
    if arguments.samples is None:
        arguments.samples = 0 if arguments.minio else SAMPLES
    far = arguments.scheduler and not (arguments.minio and arguments.postgres)
    exit_if(
        parser,
        *store_checks(arguments),
        (far, "--scheduler needs --minio and --postgres: the workers of a cluster do not reach local servers"),
        (arguments.workers < 1, "--workers must be 1 or more"),
        (arguments.unit_bytes < 1, "--unit-bytes must be 1 or more"),
        (arguments.samples < 0, "--samples must not be negative"),
    )
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every record is accounted for."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return exit_code_of(partial(ingest, arguments))


def ingest(arguments: argparse.Namespace) -> int:
    """Starts or opens the servers and the cluster, runs the job and prints the report."""
    schemas = schemas_of(arguments) or hp.SchemaDirectory(SCHEMAS)
    with servers(arguments) as (lake, db):
        if arguments.samples:
            store_samples(lake, arguments.input, arguments.samples)
        share = IngestShare(lake, db, schemas, arguments.subject, hp.Ledger(db, "ingest_on_dask"))
        with connect(arguments) as client:
            report = run_job(client, share, arguments)
        return print_report(report, lake, db, keep=None)


if __name__ == "__main__":
    sys.exit(main())
