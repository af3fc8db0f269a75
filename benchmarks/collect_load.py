"""How many events the ingestion API accepts, and how long a package waits, beside an API as people write it first.

In one run, in turn: ours with one worker process and with several, ours with an object for each package, and
`naive_collect.py`, which puts an object for each event. Packages of 1 and of 100 events.

    python benchmarks/collect_load.py                               eight measurements of 10 seconds
    python benchmarks/collect_load.py --seconds 300 --memory        memory over five minutes at a moderate load

It starts a store and the API on loopback, sends from this process (which uses a part of the machine too), and stops
them at the end. The CPU for each package is that of the processes of the API: it hardly depends on other work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import raw_client
from api_process import naive, ours, processes_of, running

import holded_pipeline as hp
from holded_pipeline.local.ports import free_ports

_LONGEST = 3_600
_ACCEPTED = 202


def contestants(lake: hp.MinIO, port: int, workers: Sequence[int]) -> dict[str, list[str]]:
    """The command of each contestant, by its name in the table."""
    grouped = {
        f"ours, {count} process{'es' * (count > 1)}": ours(lake, port, *(("--workers", str(count)) * (count > 1)))
        for count in workers
    }
    each = {"ours, an object each": ours(lake, port, "--max-wait", "0", "--group-packages", "1")}
    return {**grouped, **each, "naive": naive(lake, port)}


def requests_of(size: int, key: str) -> list[bytes]:
    """Packages of this size, from 1,000 sample events, as requests."""
    lines = [sample.line for sample in hp.testing.sample_events(1_000, seed=3)]
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    bodies = [b"[" + b",".join(lines[start : start + size]) + b"]" for start in range(0, len(lines), size)]
    return [raw_client.request_bytes("/collect", body, headers) for body in bodies]


def compare(arguments: argparse.Namespace, lake: hp.MinIO, key: str) -> None:
    """Compares the contestants, for each size of packages."""
    print(f"{'package':>8} {'API':>24} {'events/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>8} {'not 202':>8}")
    for size in arguments.sizes:
        requests = requests_of(size, key)
        port = free_ports(1)[0]
        for name, command in contestants(lake, port, arguments.workers).items():
            with running(command, lake, key, port) as process:
                before = cpu_seconds(process.pid)
                answers = asyncio.run(raw_client.send_for(arguments.seconds, port, requests, arguments.connections))
                cpu = cpu_seconds(process.pid) - before
            count = len(answers.waits)
            rate = size * answers.statuses[_ACCEPTED] / answers.seconds
            print(
                f"{size:>8} {name:>24} {rate:>10,.0f} {answers.wait(0.5):>8.0f} {answers.wait(0.99):>8.0f} "
                f"{1e6 * cpu / count:>8,.0f} {count - answers.statuses[_ACCEPTED]:>8,}",
                flush=True,
            )


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and of those that it started, so far."""
    seconds = 0.0
    for each in processes_of(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def resident(pid: int) -> float:
    """The resident memory of a process and of those that it started, in MB."""
    processes = ",".join(map(str, processes_of(pid)))
    asked = subprocess.run(["ps", "-o", "rss=", "-p", processes], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return sum(map(int, asked.stdout.split())) / 1_024


def memory(arguments: argparse.Namespace, lake: hp.MinIO, key: str) -> None:
    """Prints the memory of the API over time, at a moderate load."""
    port = free_ports(1)[0]
    size = arguments.sizes[-1]
    requests = requests_of(size, key)

    async def measured(pid: int) -> raw_client.Answers:
        began = time.monotonic()

        async def watch() -> None:
            while True:
                print(
                    f"{time.monotonic() - began:>8.0f} s {await asyncio.to_thread(resident, pid):>8.0f} MB", flush=True
                )
                await asyncio.sleep(arguments.seconds / 20)

        watching = asyncio.create_task(watch())
        try:
            pause = size * arguments.connections / arguments.rate
            return await raw_client.send_for(arguments.seconds, port, requests, arguments.connections, pause=pause)
        finally:
            watching.cancel()

    with running(ours(lake, port), lake, key, port) as process:
        answers = asyncio.run(measured(process.pid))
    rate = size * answers.statuses[_ACCEPTED] / answers.seconds
    print(json.dumps({str(status): count for status, count in answers.statuses.items()}))
    print(f"{rate:,.0f} events/s, p50 {answers.wait(0.5):.0f} ms, p99 {answers.wait(0.99):.0f} ms")


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--seconds", type=float, default=10.0, help="of each measurement (default: 10)")
    add("--sizes", type=int, nargs="+", default=[1, 100], help="events in a package (default: 1 100)")
    add("--workers", type=int, nargs="+", default=[1, 4], help="processes of our API (default: 1 4)")
    add("--connections", type=int, default=64, help="at one time (default: 64)")
    add("--memory", action="store_true", help="print the memory of the API over time instead")
    add("--rate", type=float, default=1_000.0, help="events a second for --memory (default: 1,000)")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= _LONGEST:
        parser.error("--seconds is between 0 and 3,600")
    key = secrets.token_urlsafe(24)
    with hp.local.stack() as stack:
        (memory if arguments.memory else compare)(arguments, stack.new_bucket(), key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
