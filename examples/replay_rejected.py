"""Rejected records go back into the pipeline: forecast, replay, settle.

    python examples/replay_rejected.py                          a demonstration on real servers that it starts
    python examples/replay_rejected.py --minio http://localhost:9000 --bucket holded --access-key minioadmin \
        --postgres postgresql://holded@localhost/holded_business --schemas schemas/ --reason schema_violation

The demonstration ingests sample events with a mistake in one schema, fixes it, and replays the rejected records.
On your own store it replays the dead letters of `ingest_to_postgres.py`; --forecast only prints what a replay would do.
Secrets come from the environment: MINIO_SECRET_KEY and PGPASSWORD.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import holded_pipeline as hp  # first, since Beam warns of BigQuery if it is imported by itself

# isort: split
import apache_beam as beam
import sqlalchemy as sa
from ingest_to_postgres import SCHEMAS
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

_MISTAKEN = "Holded/Wallet/Domain/Transaction/Events/WalletTransactionCreatedEvent.schema.json"
_SEED = 7

Schemas = hp.SchemaDirectory | hp.SchemaRegistry


def steps(schemas: Schemas, subject: str) -> list[Any]:
    """The steps before the sinks: the same in ingestion, forecast and replay."""
    return [hp.ValidateSchema(schemas, subject=subject), hp.Enrich("processing", "business_context", "quality")]


def ingest(lake: hp.MinIO, db: hp.Postgres, schemas: Schemas, subject: str) -> None:
    """A short form of the main job."""
    with beam.Pipeline(runner="FnApiRunner") as p:
        raw = p | hp.ReadMinIO(lake, "raw/")
        _write(raw.passed, [raw.rejected], lake, db, steps(schemas, subject))


def replay(lake: hp.MinIO, db: hp.Postgres, arguments: argparse.Namespace, schemas: Schemas) -> None:
    """The same pipeline, from the dead-letter store; replayed dead letters are settled at the end."""
    with beam.Pipeline(runner="FnApiRunner") as p:
        back = p | hp.ReadRejected(lake, "rejected/", **selection(arguments))
        stored = _write(back.passed, [back.rejected], lake, db, steps(schemas, arguments.subject))
        _ = back.passed | hp.SettleRejected(lake, "rejected/", after=stored)


def _write(
    events: beam.PCollection, rejected: list[beam.PCollection], lake: hp.MinIO, db: hp.Postgres, flow: list[Any]
) -> tuple[beam.PCollection, ...]:
    for step in flow:
        outcome = events | step
        events = outcome.passed
        rejected.append(outcome.rejected)
    loaded = events | hp.WritePostgres(db)
    again = (*rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    return loaded.passed, again


def selection(arguments: argparse.Namespace) -> dict[str, Any]:
    """The filters of `ReadRejected` and `forecast`."""
    return {"stage": arguments.stage, "reason": arguments.reason, "max_attempts": arguments.max_attempts}


def demonstrate(lake: hp.MinIO, db: hp.Postgres, arguments: argparse.Namespace) -> int:
    """Ingests with a wrong schema, then replays with the right one; 0 if no dead letter is left."""
    samples = hp.testing.sample_events(arguments.samples, seed=_SEED)
    lake.filesystem().pipe(f"{lake.bucket}/raw/samples.jsonl", hp.testing.sample_lines(samples))
    fixed = hp.SchemaDirectory(arguments.schemas or SCHEMAS)
    with tempfile.TemporaryDirectory() as folder:
        print_status(f"ingesting {len(samples):,} sample events with a mistake in one schema …")
        ingest(lake, db, hp.SchemaDirectory(_copy_with_mistake(Path(folder) / "schemas")), arguments.subject)
    print(f"Stored: {_count_stored(db):,} of {len(samples):,} events.\n")
    return replay_and_check(lake, db, arguments, fixed, expected=len({sample.event_id for sample in samples}))


def _copy_with_mistake(folder: Path) -> Path:
    """Copies the schemas of the example; wallet transactions then require a member that no producer sends."""
    shutil.copytree(SCHEMAS, folder)
    path = folder / _MISTAKEN
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["required"].append("walletId")
    path.write_text(json.dumps(schema), encoding="utf-8")
    return folder


def replay_and_check(
    lake: hp.MinIO, db: hp.Postgres, arguments: argparse.Namespace, schemas: Schemas, *, expected: int | None = None
) -> int:
    """Forecasts, replays and forecasts again; 0 if all that would pass was stored."""
    before = _forecast("Forecast", lake, arguments, schemas)
    if arguments.forecast or not before.passes:
        return 0 if arguments.forecast or not before.matching else 1
    print_status(f"replaying {before.matching - before.parked:,} records …")
    replay(lake, db, arguments, schemas)
    after = _forecast("Left after the replay", lake, arguments, schemas)
    stored = _count_stored(db)
    done = after.passes == 0 and (expected is None or (stored == expected and after.matching == 0))
    print(f"business_events holds {stored:,} events. {'Nothing is left to replay.' if done else 'NOT all went in.'}")
    return 0 if done else 1


def _forecast(title: str, lake: hp.MinIO, arguments: argparse.Namespace, schemas: Schemas) -> hp.Forecast:
    found = hp.forecast(lake, "rejected/", steps(schemas, arguments.subject), **selection(arguments))
    print(f"{title}\n{'-' * len(title)}\n{found}\n")
    return found


def _count_stored(db: hp.Postgres) -> int:
    engine = db.engine()
    with engine.connect() as connection:
        count: int = connection.execute(sa.text("SELECT count(*) FROM business_events")).scalar_one()
    engine.dispose()
    return count


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the arguments."""
    parser = parser_for(__doc__)
    add_store(parser, without="without it and --postgres: the demonstration")
    add_database(parser, without="needs --minio")
    add_schemas(parser, without="default: those beside this example")
    add = parser.add_argument
    add("--stage", action="append", help="only records rejected at this stage; may be given several times")
    add("--reason", action="append", help="only records rejected for this reason; may be given several times")
    add("--max-attempts", type=int, default=5, help="records that were tried this often are not replayed (default: 5)")
    add("--forecast", action="store_true", help="only print what a replay would do")
    add("--samples", metavar="N", type=int, default=500, help="events of the demonstration (default: 500)")
    arguments = parser.parse_args(argv)
    exit_if(parser, *_argument_checks(arguments), *store_checks(arguments))
    return arguments


def _argument_checks(a: argparse.Namespace) -> tuple[Check, ...]:
    """Further checks of the arguments, as in `store_checks`."""
    return (
        (
            bool(a.minio) != bool(a.postgres),
            "--minio and --postgres go together: dead-letter store and database",
        ),
        (a.registry and not a.minio, "--registry is for your own servers; the demonstration has its own schemas"),
        (a.samples < 1, "--samples must be at least 1"),
        (a.max_attempts < 1, "--max-attempts must be at least 1"),
    )


def run(arguments: argparse.Namespace) -> int:
    """The demonstration, or the replay of a dead-letter store of the user."""
    with servers(arguments) as (lake, db):
        if not arguments.minio:
            return demonstrate(lake, db, arguments)
        schemas = schemas_of(arguments) or hp.SchemaDirectory(SCHEMAS)
        return replay_and_check(lake, db, arguments, schemas)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if all that would pass was stored."""
    arguments = parse(argv)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # it logs the traceback of what it raises as well
    return exit_code_of(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
