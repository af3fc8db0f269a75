"""How fast many objects of one event are read, beside a bulk fetch of the same keys by s3fs and by obstore.

    python benchmarks/small_objects.py            10,000 objects
    python benchmarks/small_objects.py --smoke    tiny sizes, to see that it runs

Prints objects/s, best of `--rounds`, and the ratio to s3fs. obstore is skipped if it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

import holded_pipeline as hp


def by_flow(lake: hp.MinIO, keys: list[str]) -> None:
    """ReadMinIO, and a count that must be right."""
    with beam.Pipeline(runner="FnApiRunner") as p:
        counted = (p | hp.ReadMinIO(lake, "raw/")).passed | beam.combiners.Count.Globally()
        assert_that(counted, equal_to([len(keys)]))


def by_s3fs(lake: hp.MinIO, keys: list[str]) -> None:
    """One bulk fetch."""
    if len(lake.filesystem().cat(keys)) != len(keys):
        raise SystemExit("s3fs did not read every object")


def by_obstore(lake: hp.MinIO, keys: list[str]) -> None:
    """One bulk fetch."""
    from obstore.fsspec import FsspecStore  # noqa: PLC0415  it may not be installed

    store = FsspecStore(
        "s3",
        endpoint=lake.endpoint,
        access_key_id=lake.access_key,
        secret_access_key=lake.secret_key.reveal(),
        region="us-east-1",
        client_options={"allow_http": True},
    )
    if len(store.cat(keys)) != len(keys):
        raise SystemExit("obstore did not read every object")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    arguments = parser.parse_args()
    count, rounds = (20, 1) if arguments.smoke else (arguments.objects, arguments.rounds)
    ways: dict[str, Callable[[hp.MinIO, list[str]], None]] = {"ReadMinIO": by_flow, "s3fs": by_s3fs}
    if importlib.util.find_spec("obstore"):
        ways["obstore"] = by_obstore
    with hp.local.stack() as stack:
        lake = stack.minio
        samples = hp.testing.sample_events(count, seed=7)
        objects = {f"{lake.bucket}/raw/{number:06}.json": sample.line for number, sample in enumerate(samples)}
        lake.filesystem().pipe(objects)
        seconds = dict.fromkeys(ways, float("inf"))
        for _ in range(rounds):
            for name, work in ways.items():
                began = time.perf_counter()
                work(lake, list(objects))
                seconds[name] = min(seconds[name], time.perf_counter() - began)
    for name, each in seconds.items():
        print(f"  {name:<12}{count / each:>12,.0f} objects/s{seconds['s3fs'] / each:>8.2f} of s3fs")


if __name__ == "__main__":
    main()
