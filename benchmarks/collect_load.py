"""How many events the ingestion API accepts, and how long a package waits.

Packages of 1 and of 100 events, written in groups and, beside it in the same run, with one object for each package.

    python benchmarks/collect_load.py                               four measurements of 15 seconds
    python benchmarks/collect_load.py --seconds 300 --memory        memory over five minutes at a moderate load

It starts a store and the API on loopback, sends from this process (which uses a part of the machine too), and stops
them at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import attrs

import holded_pipeline as hp
from holded_pipeline.local.ports import free_ports

API = Path(__file__).parent.parent / "examples" / "collect_api.py"
GROUPED = ("--max-wait", "0.02")
EACH = ("--max-wait", "0", "--group-packages", "1")
_LONGEST = 3_600
_START_SECONDS = 60.0


@attrs.define
class Figures:
    """The figures of one measurement."""

    events: int = 0
    failed: int = 0
    waits: list[float] = attrs.field(factory=list)
    objects: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Events accepted a second."""
        return self.events / self.seconds

    def wait(self, share: float) -> float:
        """The percentile `share` of the waiting time, in milliseconds."""
        ordered = sorted(self.waits) or [0.0]
        return 1_000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@contextlib.contextmanager
def api(lake: hp.MinIO, key: str, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Runs the API in a process of its own."""
    port = free_ports(1)[0]
    command = [sys.executable, str(API), "--port", str(port), "--rate", "none", *arguments]
    command += ["--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key]
    env = {**os.environ, "MINIO_SECRET_KEY": lake.secret_key.reveal(), "HOLDED_API_KEY": key}
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)  # noqa: S603  our own example
    try:
        yield f"http://127.0.0.1:{port}", process
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def wait_until_ready(session: aiohttp.ClientSession, url: str) -> None:
    """Waits until the API answers that it is ready."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{url}/ready") as answer:
                if answer.status == 200:  # noqa: PLR2004  OK
                    return
        await asyncio.sleep(0.1)
    raise TimeoutError("the API did not get ready")


async def _objects(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("holded_api_objects_total"))))


async def load(
    url: str,
    key: str,
    *,
    size: int,
    seconds: float,
    connections: int,
    rate: float | None,
) -> Figures:
    """Sends packages from several connections for some seconds, as fast as they are answered or at a rate."""
    figures = Figures()
    packages = packages_of(size)
    headers = {"X-API-Key": key, "Content-Type": "application/x-ndjson"}
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        await wait_until_ready(session, url)
        began = time.monotonic()
        turn = iter(range(10**9))

        async def send() -> None:
            for number in turn:
                now = time.monotonic() - began
                if now > seconds:
                    return
                if rate is not None and (ahead := number * size / rate - now) > 0:
                    await asyncio.sleep(ahead)
                sent = time.monotonic()
                async with session.post(f"{url}/collect", data=packages[number % len(packages)]) as answer:
                    await answer.read()
                figures.waits.append(time.monotonic() - sent)
                if answer.status == 202:  # noqa: PLR2004  accepted
                    figures.events += size
                else:
                    figures.failed += size

        await asyncio.gather(*(send() for _ in range(connections)))
        figures.seconds = time.monotonic() - began
        figures.objects = await _objects(session, url)
    return figures


def packages_of(size: int) -> list[bytes]:
    """Packages of this size, from 1,000 sample events."""
    lines = [sample.line for sample in hp.testing.sample_events(1_000, seed=3)]
    return [b"\n".join(lines[start : start + size]) for start in range(0, len(lines), size)]


def compare(arguments: argparse.Namespace, lake: hp.MinIO, key: str) -> None:
    """Compares, for each size, writing in groups and writing one object for each package."""
    print(f"{'package':>8} {'written':>16} {'events/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'objects':>8} {'not 202':>8}")
    for size in arguments.sizes:
        rates = []
        for name, settings in (("in groups", GROUPED), ("an object each", EACH)):
            with api(lake, key, *settings) as (url, _):
                done = asyncio.run(
                    load(url, key, size=size, seconds=arguments.seconds, connections=arguments.connections, rate=None)
                )
            rates.append(done.rate)
            print(
                f"{size:>8} {name:>16} {done.rate:>10,.0f} {done.wait(0.5):>8.0f} {done.wait(0.99):>8.0f} "
                f"{done.objects:>8,} {done.failed:>8,}",
                flush=True,
            )
        print(f"{size:>8} {'ratio':>16} {rates[0] / rates[1]:>10.1f}", flush=True)


def resident(pid: int) -> float:
    """The resident memory of a process in MB."""
    asked = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return int(asked.stdout) / 1_024


def memory(arguments: argparse.Namespace, lake: hp.MinIO, key: str) -> None:
    """Prints the memory of the API over time, at a moderate load."""
    size = arguments.sizes[-1]
    seen: list[tuple[float, float]] = []

    async def measured(url: str, pid: int) -> Figures:
        began = time.monotonic()

        async def watch() -> None:
            while True:
                seen.append((time.monotonic() - began, await asyncio.to_thread(resident, pid)))
                await asyncio.sleep(arguments.seconds / 20)

        watching = asyncio.create_task(watch())
        try:
            return await load(
                url, key, size=size, seconds=arguments.seconds, connections=arguments.connections, rate=arguments.rate
            )
        finally:
            watching.cancel()

    with api(lake, key, *GROUPED) as (url, process):
        done = asyncio.run(measured(url, process.pid))
    for at, megabytes in seen:
        print(f"{at:>8.0f} s {megabytes:>8.0f} MB")
    print(
        f"{done.rate:,.0f} events/s, p50 {done.wait(0.5):.0f} ms, p99 {done.wait(0.99):.0f} ms, not 202: {done.failed}"
    )


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--seconds", type=float, default=15.0, help="of each measurement (default: 15)")
    add("--sizes", type=int, nargs="+", default=[1, 100], help="events in a package (default: 1 100)")
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
