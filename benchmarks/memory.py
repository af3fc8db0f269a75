"""The memory that the main flow needs: the peak of a process, for inputs of several sizes.

    python benchmarks/memory.py                         300 MB of JSON lines in one object, events of 3 KB
    python benchmarks/memory.py --megabytes 100 400     two sizes, one after the other
    python benchmarks/memory.py --events small          events of 250 bytes, 300 MB are 1.2 million
    python benchmarks/memory.py --smoke                 a small one, to see that it runs

Each figure is the peak resident memory of one process so far: after it imported the library, after it read the object,
and after it ran the main flow over it. With Beam's FnApiRunner, all of it is in that process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam

import holded_pipeline as hp

KEY = "raw/large.jsonl"
STEPS = {
    "import": "imports the library",
    "read": "reads the object",
    "flow": "reads, enriches, stores and loads it",
}

BEGINNING = 1_767_225_600_000  # milliseconds: 2026 begins; ReadMinIO rejects times that are long ago
RANDOM_BYTES = {"large": 360, "small": 18}
"""How many random bytes are in the text of an event of each kind: it compresses to about a quarter, as real ones do."""


def lines(size: int, kind: str) -> Iterator[bytes]:
    """Flat events, `size` bytes together."""
    generator = random.Random(7)  # noqa: S311  no secret
    total = number = 0
    while total < size:
        names = {"event_id": f"e{number}", "event_type": "order", "company_id": f"c{number % 50}"}
        text = generator.randbytes(RANDOM_BYTES[kind]).hex() * 4
        line = json.dumps(names | {"timestamp": BEGINNING + number, "text": text}).encode() + b"\n"
        total += len(line)
        number += 1
        yield line


def work(what: str, lake: hp.MinIO, db: hp.Postgres) -> None:
    """Runs one step in the measured process."""
    if what == "import":
        return
    with beam.Pipeline(runner="FnApiRunner") as p:
        raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat")
        if what == "flow":
            enriched = raw.passed | hp.Enrich("processing", "business_context", "quality")
            _ = enriched.passed | hp.WriteMinIO(lake, "enriched/")
            loaded = enriched.passed | hp.WritePostgres(db)
            _ = (raw.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")


def peak() -> int:
    """The peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss includes the process before exec
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(lake: hp.MinIO, db: hp.Postgres) -> dict[str, int]:
    """Runs all steps in a new process; returns its peak after each."""
    settings = [lake.endpoint, lake.bucket, lake.access_key, lake.secret_key.reveal(), db.url]
    done = subprocess.run(  # noqa: S603  this very file
        [sys.executable, __file__, "--measure"],
        input=json.dumps(settings).encode(),
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | ({} if db.password is None else {"PGPASSWORD": db.password.reveal()}),
    )
    peaks: dict[str, int] = json.loads(done.stdout)
    return peaks


def measure(megabytes: int, kind: str) -> None:
    """Measures one size on new servers, and prints."""
    from side_by_side import rows_in  # noqa: PLC0415  the measured process has only what the flow needs

    with hp.local.stack() as stack:
        lake = stack.minio
        count = 0
        with lake.filesystem().open(f"{lake.bucket}/{KEY}", "wb") as file:
            for line in lines(megabytes * 1_000_000, kind):
                file.write(line)
                count += 1
        size = lake.filesystem().size(f"{lake.bucket}/{KEY}")
        print(f"one object of {size / 1e6:,.0f} MB, {kind} events; peak resident memory of a process when it")
        peaks = measured(lake, stack.postgres)
        if (found := rows_in(stack.postgres, "business_events")) != count:
            raise SystemExit(f"the table has {found:,} rows instead of {count:,}")
        for what, words in STEPS.items():
            more = (peaks[what] - peaks["import"]) / size
            extra = "" if what == "import" else f"   {more:.0%} of the object's size more than the import"
            print(f"  {words:<40}{peaks[what] / 1e6:>8,.0f} MB{extra}", flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[300])
    parser.add_argument("--events", choices=sorted(RANDOM_BYTES), default="large")
    parser.add_argument("--smoke", action="store_true", help="a small one, to see that it runs")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        endpoint, bucket, access_key, secret_key, url = json.load(sys.stdin)
        lake, db = hp.MinIO(endpoint, bucket=bucket, access_key=access_key, secret_key=secret_key), hp.Postgres(url)
        peaks = {}
        for what in STEPS:
            work(what, lake, db)
            peaks[what] = peak()
        print(json.dumps(peaks))
        return
    for megabytes in [1] if arguments.smoke else arguments.megabytes:
        measure(megabytes, arguments.events)


if __name__ == "__main__":
    main()
