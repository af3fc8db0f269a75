"""The main job: events from an S3-compatible store, checked and enriched, into PostgreSQL and back to the store.

    python examples/ingest_to_postgres.py                       starts real servers, 20,000 sample events
    python examples/ingest_to_postgres.py --keep data           the same, and keeps the data; run it again
    python examples/ingest_to_postgres.py --enrichers processing,business_context,quality,vat   with a plugin's enricher
    python examples/ingest_to_postgres.py --minio http://localhost:9000 --bucket holded --access-key minioadmin \
        --postgres postgresql://holded@localhost/holded_business --registry http://localhost:8081

Secrets come from the environment: MINIO_SECRET_KEY and PGPASSWORD. Unknown options are passed on to Beam.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import holded_pipeline as hp  # first, since Beam warns of BigQuery if it is imported by itself

# isort: split
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from ingest_report import print_report
from own_servers import (
    Check,
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

SAMPLES = 20_000
FAULTY = 0.02
SEED = 7
ENRICHERS = "processing,business_context,quality"
SCHEMAS = Path(__file__).parent / "schemas"
WITH_JOB_SERVER = ("FlinkRunner", "PortableRunner", "SparkRunner")  # job servers have options of their own


def run_job(
    lake: hp.MinIO,
    db: hp.Postgres,
    schemas: hp.SchemaDirectory | hp.SchemaRegistry,
    arguments: argparse.Namespace,
    options: PipelineOptions,
) -> hp.RunReport:
    """Runs the pipeline and returns its report, which accounts for every record."""
    pipeline = beam.Pipeline(runner=arguments.runner, options=options)
    raw = pipeline | hp.ReadMinIO(lake, arguments.input)
    checked = raw.passed | hp.ValidateSchema(schemas, subject=arguments.subject)
    enriched = checked.passed | hp.Enrich(*arguments.enrichers)
    _ = enriched.passed | hp.WriteMinIO(lake, "enriched/")
    loaded = enriched.passed | hp.WritePostgres(db)
    _ = (raw.rejected, checked.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    return hp.run(pipeline)


def store_samples(lake: hp.MinIO, prefix: str, count: int) -> None:
    """Stores sample events under the prefix, unless it has objects already."""
    filesystem = lake.filesystem()
    try:
        _store_samples(filesystem, lake.bucket, prefix, count)
    except OSError as error:
        raise hp.ConfigurationError(
            f"no samples can be stored in the bucket {lake.bucket!r} of the {lake}: {error}; "
            "check bucket, access key and secret key"
        ) from error


def _store_samples(filesystem: Any, bucket: str, prefix: str, count: int) -> None:
    folder = f"{bucket}/{prefix.strip('/')}"
    if filesystem.exists(folder) and filesystem.find(folder):
        print_status(f"{prefix} has events already, which are read again")
        return
    print_status(f"writing {count:,} sample events, {FAULTY:.0%} of them faulty …")
    samples = hp.testing.sample_events(count, seed=SEED, faults=FAULTY)
    per_object = max(1, count // 10)
    for number, start in enumerate(range(0, count, per_object)):
        lines = b"".join(sample.line + b"\n" for sample in samples[start : start + per_object])
        filesystem.pipe(f"{folder}/samples-{number:02}.jsonl", lines)


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, PipelineOptions]:
    """Parses the arguments of this example, and those of Beam."""
    parser = parser_for(__doc__)
    add_store(parser)
    add_database(parser)
    add_schemas(parser, without="default: those beside this example")
    add = parser.add_argument
    add("--input", metavar="PREFIX", default="raw/", help="prefix or glob of the objects to read (default: raw/)")
    add(
        "--enrichers",
        metavar="NAMES",
        type=lambda text: [name.strip() for name in text.split(",")],
        default=ENRICHERS,
        help=f"enrichers by name, those of installed plugins too (default: {ENRICHERS})",
    )
    add("--samples", metavar="N", type=int, help="how many sample events to store first (default: 20,000 locally)")
    add("--keep", metavar="DIR", help="keep the local servers' data in this folder")
    add("--runner", default="FnApiRunner", help="Beam's runner (default: FnApiRunner, in this process)")
    arguments, rest = parser.parse_known_args(argv)
    if arguments.samples is None:
        arguments.samples = 0 if arguments.minio else SAMPLES
    exit_if(parser, *store_checks(arguments), *_argument_checks(arguments))
    options = PipelineOptions(rest)
    unknown = set(options.get_all_options(retain_unknown_options=True)) - set(options.get_all_options())
    if unknown and arguments.runner not in WITH_JOB_SERVER:
        parser.error(f"neither this example nor Beam knows --{', --'.join(sorted(unknown))}")
    return arguments, options


def _argument_checks(a: argparse.Namespace) -> tuple[Check, ...]:
    """Further checks of the arguments, as in `store_checks`."""
    return (
        (a.minio and a.postgres and a.keep, "--keep is for local servers, and both servers are yours"),
        (a.samples < 0, "--samples must not be negative"),
        (a.samples and set("*?[") & set(a.input), "--samples are stored under a prefix, and --input is a glob"),
        (a.runner == "DaskRunner", "Beam's DaskRunner loses branches without an error; choose another --runner"),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every record is accounted for."""
    arguments, options = parse(sys.argv[1:] if argv is None else argv)
    return exit_code_of(partial(ingest, arguments, options))


def ingest(arguments: argparse.Namespace, options: PipelineOptions) -> int:
    """Starts or opens the servers, runs the job and prints the report."""
    schemas = schemas_of(arguments) or hp.SchemaDirectory(SCHEMAS)
    with servers(arguments, keep=arguments.keep) as (lake, db):
        if arguments.samples:
            store_samples(lake, arguments.input, arguments.samples)
        print_status("running …")
        report = run_job(lake, db, schemas, arguments, options)
        return print_report(report, lake, db, keep=arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
