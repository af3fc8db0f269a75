"""Three runs of the standard flow: the first takes everything, the second nothing, the third what came in between.

python examples/only_what_is_new.py                       real servers, 2,000 sample events
python examples/only_what_is_new.py --page run.html       and a page with pictures of the first run
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
from plain_errors import exit_code_of, print_status

SCHEMAS = hp.SchemaDirectory(Path(__file__).parent / "schemas")
SEED = 7


def store_samples(lake: hp.MinIO, key: str, count: int, seed: int) -> None:
    """Stores sample events, some of them faulty."""
    samples = hp.testing.sample_events(count, seed=seed, faults=0.02)
    lake.filesystem().pipe(f"{lake.bucket}/{key}", hp.testing.sample_lines(samples))


def run_once(lake: hp.MinIO, db: hp.Postgres) -> hp.RunReport:
    """One run over all that is new below raw/."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | hp.IngestEvents(lake, db, SCHEMAS, raw="raw/", subject="{type}")
    return hp.run(pipeline)


def show(events: int, page: str | None) -> int:
    """Runs three times and says what each run took; returns 0 if every event was taken once."""
    with hp.local.stack() as stack:
        lake, db = stack.minio, stack.postgres
        store_samples(lake, "raw/monday.jsonl", events, SEED)
        reports = [run_once(lake, db), run_once(lake, db)]
        store_samples(lake, "raw/tuesday.jsonl", events // 2, SEED + 1)
        reports.append(run_once(lake, db))
        for name, report in zip(("first", "second", "third"), reports, strict=True):
            print(f"{name:<8}read {report.records:>7,}   rejected {report.rejected_total:>5,}   {report.seconds:.1f} s")
        by_manifest = sum(1 for _ in hp.events(lake, "enriched/", manifest=True))
        print(f"enriched/ has {by_manifest:,} events by its manifests")
        for run in hp.runs(db):
            print(f"{run.run_id}  {run.state}  settled {run.settled_at:%H:%M:%S}")
        if page is not None:
            hp.run_page(db, reports[0].run_id).save(page)
            print_status(f"the page of the first run is in {page}")
    return 0 if [report.records for report in reports] == [events, 0, events // 2] else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every event was taken once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--events", type=int, default=2_000, help="how many sample events the first run takes")
    parser.add_argument("--page", metavar="FILE", help="write the page of the first run to this file")
    arguments = parser.parse_args(argv)
    return exit_code_of(partial(show, arguments.events, arguments.page))


if __name__ == "__main__":
    sys.exit(main())
