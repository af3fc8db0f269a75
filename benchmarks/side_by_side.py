"""The main flow beside a loop written by hand, dlt, and Beam as people write it first, on the same input and servers.

    python benchmarks/side_by_side.py                       50,000 events, 3 rounds
    python benchmarks/side_by_side.py --events 200000 --json figures.json
    python benchmarks/side_by_side.py --only flow,loop --at-least 0.1    exits with 1 if it is slower
    python benchmarks/side_by_side.py --smoke               tiny sizes, to see that it runs

The contestants take turns; each figure is the median of `--rounds`. Databases and buckets are made outside the timed
part, and after each turn the table must hold every event. `pip install 'holded-pipeline[bench]'` has what the
contestants need; one whose packages are not installed is skipped. Compare the ratios: the figures depend on
the machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import apache_beam as beam
import psycopg
import s3fs

import holded_pipeline as hp

SCHEMAS = Path(__file__).parent.parent / "examples" / "schemas"
ENRICHERS = ("processing", "business_context", "quality")
NAIVE_EVENTS = 1_000
STAGES = ("read", "validate", "enrich", "store", "load")
PACKAGES = ("apache-beam", "holded-pipeline", "dlt", "jsonschema-rs", "msgspec", "orjson", "psycopg", "s3fs")
NEEDS = {"loop": "orjson", "dlt": "dlt"}


def flow(lake: hp.MinIO, db: hp.Postgres, *, steps: Sequence[str] = STAGES, options: Sequence[str] = ()) -> None:
    """The main flow up to the given steps, and the rejected records of each."""
    with beam.Pipeline(runner="FnApiRunner", options=beam.options.pipeline_options.PipelineOptions(list(options))) as p:
        outputs = [p | hp.ReadMinIO(lake, "raw/")]
        if "validate" in steps:
            outputs.append(outputs[-1].passed | hp.ValidateSchema(hp.SchemaDirectory(SCHEMAS), subject="{type}"))
        if "enrich" in steps:
            outputs.append(outputs[-1].passed | hp.Enrich(*ENRICHERS))
        events = outputs[-1].passed
        if "store" in steps:
            _ = events | hp.WriteMinIO(lake, "enriched/")
        if "load" in steps:
            outputs.append(events | hp.WritePostgres(db))
        _ = tuple(each.rejected for each in outputs) | hp.WriteRejected(lake, "rejected/")


def flow_of_processes(lake: hp.MinIO, db: hp.Postgres, workers: int) -> None:
    """The main flow on several processes."""
    flow(lake, db, options=["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"])


def filesystem_of(lake: hp.MinIO) -> s3fs.S3FileSystem:
    """The store, as one opens it without the library."""
    return s3fs.S3FileSystem(
        key=lake.access_key,
        secret=lake.secret_key.reveal(),
        endpoint_url=lake.endpoint,
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def loop(lake: hp.MinIO, db: hp.Postgres) -> None:
    """The loop of `hand_written.py`."""
    from hand_written import Loop  # noqa: PLC0415  it needs orjson

    Loop(filesystem_of(lake), lake.bucket, db.url, SCHEMAS).run("raw/")


def by_dlt(lake: hp.MinIO, db: hp.Postgres) -> None:
    """Dlt, from the same objects to a table of its own; it neither checks nor enriches."""
    import dlt  # noqa: PLC0415  it may not be installed
    from dlt.sources.credentials import AwsCredentials  # noqa: PLC0415
    from dlt.sources.filesystem import readers  # noqa: PLC0415

    keys = AwsCredentials(
        aws_access_key_id=lake.access_key,
        aws_secret_access_key=lake.secret_key.reveal(),
        endpoint_url=lake.endpoint,
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "side_by_side",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(db.url.replace("@", ":unused@", 1)),  # it insists on a password
            dataset_name="public",
        )
        source = readers(bucket_url=f"s3://{lake.bucket}/raw", credentials=keys, file_glob="*.jsonl").read_jsonl()
        # Documents stay JSON, as in the other contestants, instead of a column for each member.
        source.apply_hints(
            table_name="dlt_events", columns={"data": {"data_type": "json"}, "headers": {"data_type": "json"},
            "attributes": {"data_type": "json"}},
        )  # fmt: skip
        pipeline.run(source).raise_on_failed_jobs()


class PutAndInsert(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Stores and loads one message at a time."""

    def __init__(self, lake: hp.MinIO, db: hp.Postgres) -> None:
        self.lake, self.url = lake, db.url

    def setup(self) -> None:
        """Connects."""
        self.fs = filesystem_of(self.lake)
        self.connection = psycopg.connect(self.url, autocommit=True)

    def process(self, line: str) -> None:
        """A put and an INSERT."""
        message = json.loads(line)
        headers = message.get("headers") or message["attributes"]
        stamps = {name.rsplit("\\", 1)[-1]: value for name, value in headers.items()}
        stamp = stamps["MessageIdStamp"]
        event_id = stamp["id"] if isinstance(stamp, dict) else stamp
        company = stamps["NewContextStamp"]["accountId"]
        self.fs.pipe(f"{self.lake.bucket}/enriched/{event_id}.json", line.encode())
        self.connection.execute(
            "INSERT INTO business_events"
            " (event_id, event_type, company_id, occurred_at, business_context, data, metadata)"
            " VALUES (%s, %s, %s, now(), 'other', %s, %s) ON CONFLICT DO NOTHING",
            (event_id, headers["type"], company, json.dumps(message["data"]), json.dumps({"headers": headers})),
        )

    def teardown(self) -> None:
        """Closes the connection."""
        self.connection.close()


def naive(lake: hp.MinIO, db: hp.Postgres) -> None:
    """Beam with a put and an INSERT for each of the first events."""
    with filesystem_of(lake).open(f"{lake.bucket}/raw/events.jsonl", "r", encoding="utf-8") as file:
        lines = [line for line, _ in zip(file, range(NAIVE_EVENTS), strict=False)]
    with beam.Pipeline(runner="FnApiRunner") as p:
        _ = p | beam.Create(lines, reshuffle=False) | beam.ParDo(PutAndInsert(lake, db))


def rows_in(db: hp.Postgres, table: str) -> int:
    """How many rows a table has."""
    with psycopg.connect(db.url) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found[0]) if found else 0


class Arena:
    """The servers and the input.

    Args:
        stack: the servers.
        count: how many events.
    """

    def __init__(self, stack: hp.local.Stack, count: int) -> None:
        self.stack, self.count, self.lake = stack, count, stack.minio
        self.fs = filesystem_of(self.lake)
        self.fs.pipe(
            f"{self.lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(hp.testing.sample_events(count, seed=7))
        )

    def turn(self, name: str, work: Callable[[hp.MinIO, hp.Postgres], None]) -> dict[str, float]:
        """The time and the process's CPU time of one event, in microseconds, after a check of the result."""
        db = self.stack.new_database()
        hp.migrate(db)
        for prefix in ("enriched", "rejected"):
            if self.fs.exists(f"{self.lake.bucket}/{prefix}"):
                self.fs.rm(f"{self.lake.bucket}/{prefix}", recursive=True)
        count = min(self.count, NAIVE_EVENTS) if name == "naive" else self.count
        began, busy = time.perf_counter(), time.process_time()
        work(self.lake, db)
        wall, cpu = time.perf_counter() - began, time.process_time() - busy
        expected = 0 if name in STAGES and name != "load" else count
        found = rows_in(db, "dlt_events" if name == "dlt" else "business_events")
        if found != expected:
            raise SystemExit(f"{name}: the table has {found:,} rows instead of {expected:,}")
        self.drop(db)
        return {"wall": wall / count * 1e6, "cpu": cpu / count * 1e6}

    def drop(self, db: hp.Postgres) -> None:
        """Drops a database, so that none slows down the next turn."""
        with psycopg.connect(self.stack.postgres.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{db.url.rsplit("/", 1)[-1]}" WITH (FORCE)')

    def compete(
        self, contestants: Mapping[str, Callable[[hp.MinIO, hp.Postgres], None]], rounds: int
    ) -> dict[str, list[dict[str, float]]]:
        """The turns of each contestant."""
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, work in contestants.items():
                turns[name].append(self.turn(name, work))
        return turns


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {"cores": os.cpu_count(), "cpu": cpu, "python": platform.python_version(), "packages": installed()}


def installed() -> dict[str, str]:
    """The versions of the packages that matter."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def medians(turns: Mapping[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The median of each figure."""
    return {
        name: {what: statistics.median(turn[what] for turn in each) for what in ("wall", "cpu")}
        for name, each in turns.items()
    }


def contestants_of(names: Sequence[str], workers: int) -> dict[str, Callable[[hp.MinIO, hp.Postgres], None]]:
    """Those that were asked for and can run."""
    every: dict[str, Callable[[hp.MinIO, hp.Postgres], None]] = {
        "flow": flow,
        "loop": loop,
        "processes": lambda lake, db: flow_of_processes(lake, db, workers),
        "dlt": by_dlt,
        "naive": naive,
    }
    for name, package in NEEDS.items():
        if name in names and importlib.util.find_spec(package) is None:
            print(f"  {name} is skipped: {package} is not installed (pip install 'holded-pipeline[bench]')")
            del every[name]
    return {name: work for name, work in every.items() if name in names}


def print_results(figures: Mapping[str, Mapping[str, float]]) -> None:
    """The table, with ratios to the loop."""
    base = figures.get("loop", {}).get("wall")
    print(f"  {'':<12}{'µs/event':>10}{'CPU µs':>10}{'events/s':>12}{'rate/loop':>12}")
    for name, each in figures.items():
        ratio = f"{base / each['wall']:>12.2f}" if base else f"{'':>12}"
        print(f"  {name:<12}{each['wall']:>10.1f}{each['cpu']:>10.1f}{1e6 / each['wall']:>12,.0f}{ratio}")


def stages(arena: Arena, rounds: int) -> dict[str, dict[str, float]]:
    """What each stage adds, by growing prefixes of the flow."""
    works = {
        last: (lambda lake, db, steps=STAGES[: position + 1]: flow(lake, db, steps=steps))
        for position, last in enumerate(STAGES)
    }
    found = medians(arena.compete(works, rounds))
    print("The stages of the flow (CPU is that of this process)")
    before = {"wall": 0.0, "cpu": 0.0}
    for name, each in found.items():
        added = {what: each[what] - before[what] for what in each}
        print(f"  +{name:<11}{added['wall']:>10.1f} µs/event{added['cpu']:>10.1f} µs CPU")
        before = each
    return found


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="processes of the row `processes`")
    parser.add_argument("--only", default="flow,loop,processes,dlt,naive,stages", help="which of these")
    parser.add_argument("--json", type=Path, help="writes the figures to this file")
    parser.add_argument(
        "--at-least", type=float, help="exits with 1 if the flow's rate is a smaller part of the loop's"
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.events, arguments.rounds = 100, 1
        arguments.only = "flow,loop,dlt,naive"  # the start of the others takes a minute on a busy machine
    return arguments


def main() -> int:
    """Measures and prints."""
    arguments = parsed()
    names = arguments.only.split(",")
    about = machine() | {"events": arguments.events, "rounds": arguments.rounds}
    print(f"{arguments.events:,} events, median of {arguments.rounds}; {json.dumps(machine())}")
    with hp.local.stack() as stack:
        arena = Arena(stack, arguments.events)
        turns = arena.compete(contestants_of(names, arguments.workers), arguments.rounds)
        figures = medians(turns)
        print_results(figures)
        by_stage = stages(arena, arguments.rounds) if "stages" in names else {}
    if arguments.json:
        found = {"about": about, "contestants": figures, "stages": by_stage, "turns": turns}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if arguments.at_least is None:
        return 0
    if not {"flow", "loop"} <= set(figures):
        print("--at-least compares flow and loop; one of them did not run")
        return 2
    ratio = statistics.median(b["wall"] / a["wall"] for a, b in zip(turns["flow"], turns["loop"], strict=True))
    print(f"the flow's rate is {ratio:.2f} of the loop's; at least {arguments.at_least} is asked for")
    return int(ratio < arguments.at_least)


if __name__ == "__main__":
    sys.exit(main())
