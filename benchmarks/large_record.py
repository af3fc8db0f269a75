"""Peak memory of a run with large records, as a multiple of one record's size.

    python benchmarks/large_record.py                     one record of 50 MB, ASCII, which is too large to accept
    python benchmarks/large_record.py --records 10 --megabytes 20 --text wide
    python benchmarks/large_record.py --accepted          one record of 15 MB with 120 arrays, which is read
    python benchmarks/large_record.py --smoke             a small one, to see that it runs

Reads with ReadMinIO and writes with WriteRejected in a new process, and compares it with a process that does the same
with a record of a few bytes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import apache_beam as beam

import holded_pipeline as hp

_MB = 1_000_000
_FILLERS = {
    "ascii": b"abcdefgh",
    "wide": "é🙂xy".encode(),
    "escaped": rb"a\nb\"c",
    "binary": b"\xff\x00\x80\x81abcd",
}
_ARRAYS = 120  # more brackets than levels are accepted, so that the levels are counted


def run(endpoint: str, bucket: str, access_key: str, prefix: str) -> None:
    """The pipeline, in this process; prints its peak memory in bytes."""
    lake = hp.MinIO(endpoint, bucket=bucket, access_key=access_key, secret_key=hp.Secret.env("BENCHMARK_SECRET"))
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        raw = pipeline | hp.ReadMinIO(lake, prefix)
        _ = raw.rejected | hp.WriteRejected(lake, "rejected/")
    print(peak_of_this_process())


def peak_of_this_process() -> int:
    """In bytes. On Linux `ru_maxrss` includes the parent process, so VmHWM is read instead."""
    status = Path("/proc/self/status")
    if status.exists():
        mark = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(mark.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_of_run(lake: hp.MinIO, prefix: str) -> int:
    """Peak memory in bytes of a process that runs it."""
    command = [sys.executable, str(Path(__file__)), "--run", lake.endpoint, lake.bucket, lake.access_key, prefix]
    done = subprocess.run(  # noqa: S603  this file itself
        command, env={"BENCHMARK_SECRET": lake.secret_key.reveal()}, stdout=subprocess.PIPE, check=True, timeout=170
    )
    return int(done.stdout)


def measure(lake: hp.MinIO, *, records: int, size: int, text: str) -> float:
    """Peak memory above that of a run with a tiny record, in sizes of one record; the records are too large."""
    filler = _FILLERS[text]
    line = (b'{"note": "' + filler * (size // len(filler)))[:size] + b'"}\n'
    return _measure(lake, b"{broken\n", line, records)


def measure_accepted(lake: hp.MinIO, *, size: int, text: str) -> float:
    """The same for one record that is an event."""
    filler = _FILLERS[text]
    tiny, large = (_event(filler * repeats) for repeats in (1, size // len(filler)))
    return _measure(lake, tiny, large, 1)


def _event(note: bytes) -> bytes:
    (sample,) = hp.testing.sample_events(1, seed=7)
    document = json.loads(sample.line)
    document["data"] |= {"arrays": [[]] * _ARRAYS, "note": "NOTE"}
    return json.dumps(document).encode().replace(b"NOTE", note) + b"\n"


def _measure(lake: hp.MinIO, tiny: bytes, large: bytes, records: int) -> float:
    filesystem = lake.filesystem()
    with filesystem.open(f"{lake.bucket}/large/a.jsonl", "wb") as file:
        for _ in range(records):
            file.write(large)
    filesystem.pipe(f"{lake.bucket}/small/a.jsonl", tiny)
    baseline, peak = peak_of_run(lake, "small/"), peak_of_run(lake, "large/")
    print(f"baseline {baseline / _MB:,.0f} MB, {records} x {len(large) / _MB:,.1f} MB: {peak / _MB:,.0f} MB")
    return (peak - baseline) / len(large)


def main() -> int:
    """Measures on a local store."""
    if sys.argv[1:2] == ["--run"]:
        run(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1)
    parser.add_argument("--megabytes", type=int)
    parser.add_argument("--text", choices=sorted(_FILLERS), default="ascii")
    parser.add_argument("--accepted", action="store_true", help="a record that is an event")
    parser.add_argument("--smoke", action="store_true", help="a small one, to see that it runs")
    arguments = parser.parse_args()
    size = (1 if arguments.smoke else arguments.megabytes or (15 if arguments.accepted else 50)) * _MB
    with hp.local.stack() as stack:
        if arguments.accepted:
            ratio = measure_accepted(stack.minio, size=size, text=arguments.text)
        else:
            ratio = measure(stack.minio, records=arguments.records, size=size, text=arguments.text)
    print(f"peak above the baseline: {ratio:.1f} x the record")
    return 0


if __name__ == "__main__":
    sys.exit(main())
