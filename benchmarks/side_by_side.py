"""The main flow beside a loop written by hand, dlt, and Beam as people write it first, on the same input and servers.

    python benchmarks/side_by_side.py                       50,000 events, 3 rounds
    python benchmarks/side_by_side.py --events 200000 --json figures.json
    python benchmarks/side_by_side.py --only flow,loop --at-least 0.1    exits with 1 if it is slower
    python benchmarks/side_by_side.py --only flow,scale     what 4 times the input takes
    python benchmarks/side_by_side.py --smoke               tiny sizes, to see that it runs

The contestants take turns; each figure is the median of `--rounds`. Databases and buckets are made outside the timed
part, and after each turn the table must hold every event. `pip install '.[bench]'` has what the
contestants need; one whose packages are not installed is skipped. Compare the ratios: the figures depend on
the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psycopg
from contestants import NAIVE_EVENTS, STAGES, Work, contestants_of, filesystem_of, flow, url_of

import holded_pipeline as hp

OBJECT_EVENTS = 20_000  # in one object, about 22 MB
SCALE = 4
PACKAGES = ("apache-beam", "holded-pipeline", "dlt", "jsonschema-rs", "msgspec", "orjson", "psycopg", "s3fs")


def rows_in(db: hp.Postgres, table: str) -> int:
    """How many rows a table has."""
    with psycopg.connect(url_of(db)) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found[0]) if found else 0


class Arena:
    """The servers and the input.

    Args:
        stack: the servers.
        count: how many events.
    """

    def __init__(self, stack: hp.local.Stack, count: int) -> None:
        self.stack, self.count, self.lake = stack, 0, stack.minio
        self.fs = filesystem_of(self.lake)
        self.grow(count)

    def grow(self, count: int) -> None:
        """Adds objects until there are so many events."""
        while self.count < count:
            some = min(OBJECT_EVENTS, count - self.count)
            lines = hp.testing.sample_lines(hp.testing.sample_events(some, seed=7 + self.count))
            self.fs.pipe(f"{self.lake.bucket}/raw/events-{self.count:09}.jsonl", lines)
            self.count += some

    def turn(self, name: str, work: Work) -> dict[str, float]:
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
        with psycopg.connect(url_of(self.stack.postgres), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{db.url.rsplit("/", 1)[-1]}" WITH (FORCE)')

    def compete(self, contestants: Mapping[str, Work], rounds: int) -> dict[str, list[dict[str, float]]]:
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


def scale(arena: Arena, figures: Mapping[str, float], rounds: int) -> dict[str, float]:
    """What the flow takes for 4 times the input, after the figures for the input once."""
    arena.grow(SCALE * arena.count)
    found = medians(arena.compete({"flow": flow}, rounds))["flow"]
    ratio = SCALE * found["wall"] / figures["wall"]
    print(f"{SCALE} times the input ({arena.count:,} events) takes {ratio:.2f} times the time")
    return found


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="processes of the row `processes`")
    parser.add_argument("--only", default="flow,loop,processes,dlt,naive,stages", help="which of these; scale too")
    parser.add_argument("--json", type=Path, help="writes the figures to this file")
    parser.add_argument(
        "--at-least", type=float, help="exits with 1 if the flow's rate is a smaller part of the loop's"
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.events, arguments.rounds = 100, 1
        arguments.only = "flow,loop,dlt,naive,scale"  # the start of the others takes a minute on a busy machine
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
        scaled = scale(arena, figures["flow"], arguments.rounds) if {"scale", "flow"} <= set(names) else {}
    if arguments.json:
        found = {"about": about, "contestants": figures, "stages": by_stage, "scaled": scaled, "turns": turns}
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
