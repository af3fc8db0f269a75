"""Kills the ingestion API under load, many times, and looks for every acknowledged event.

    python benchmarks/collect_kill.py --kills 20
    python benchmarks/collect_kill.py --kills 20 --spool        the store is killed, too, in every second round
    python benchmarks/collect_kill.py --kills 20 --workers 4    of four processes one is killed, or all, in turn
    python benchmarks/collect_kill.py --kills 20 --naive        an API as people write it first, `naive_collect.py`

With `--spool` half of the kills are in an outage, or while the spool is drained after one. Then each acknowledged event
must be in the store exactly once.

It starts a store and the API on loopback, and stops them at the end. The exit code is 1 if an acknowledged event is
not in the store.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from api_process import EACH, GROUPED, api, naive, ours, processes_of, running

import holded_pipeline as hp
from holded_pipeline.local.ports import free_ports

_MOST = 1_000
_DRAIN_SECONDS = 300.0
_AFTER_SECONDS = 1.0


async def _until_killed(url: str, key: str, kill_after: float, kill: Callable[[], None], senders: int) -> list[str]:
    """Sends until the API is killed, and a moment longer if others answer then; returns the acknowledged ids."""
    acknowledged: list[str] = []
    headers = {"X-API-Key": key}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=senders)) as session:

        async def send(number: int) -> None:
            package = [{"sender": number, "text": "x" * 300}] * (1 + number % 5)
            try:
                while True:
                    async with session.post(f"{url}/collect", json=package) as answer:
                        collected = await answer.json()
                        acknowledged.extend(map(_id_of, collected.get("accepted", ())))
            except (aiohttp.ClientError, ValueError):
                return

        senders_at_work = [asyncio.create_task(send(number)) for number in range(senders)]
        await asyncio.sleep(kill_after)
        kill()
        await asyncio.wait(senders_at_work, timeout=_AFTER_SECONDS)
        for each in senders_at_work:
            each.cancel()
        await asyncio.gather(*senders_at_work, return_exceptions=True)
    return acknowledged


def _id_of(accepted: Any) -> str:
    """Ours lists an object for each event, the naive API its id."""
    return str(accepted["event_id"] if isinstance(accepted, dict) else accepted)


def stored_ids(lake: hp.MinIO) -> Counter[str]:
    """How often each event id is in the bucket."""
    filesystem = lake.filesystem()
    keys = [key for prefix in ("raw", "naive") for key in filesystem.find(f"{lake.bucket}/{prefix}")]
    return Counter(json.loads(line)["event_id"] for key in keys for line in filesystem.cat(key).splitlines())


def groups_in(spool: Path) -> int:
    """The number of groups in a spool."""
    found = 0
    for folder in spool.iterdir():
        with contextlib.suppress(FileNotFoundError):  # an empty one is removed
            found += sum(path.suffix == ".group" for path in folder.iterdir())
    return found


def _kill_with_outages(arguments: argparse.Namespace, stack: hp.local.Stack, key: str, spool: Path) -> set[str]:
    """Kills the API in an outage (odd rounds) or while it drains (even rounds); returns the acknowledged ids."""
    lake, acknowledged, outage_events, outage_seconds = stack.minio, set[str](), 0, 0.0
    settings = (*GROUPED, "--spool", str(spool))
    for number in range(1, arguments.kills + 1):
        after = random.uniform(0.3, 2.5)  # noqa: S311  any moment will do
        in_outage = number % 2
        if in_outage:
            stack.stop_minio("crash")
        else:
            stack.start_minio()
        before = groups_in(spool)
        with api(lake, key, *settings) as (url, process):
            ids = asyncio.run(_until_killed(url, key, after, process.kill, arguments.senders))
        acknowledged.update(ids)
        if in_outage:
            outage_events, outage_seconds = outage_events + len(ids), outage_seconds + after
        print(
            f"kill {number} after {after:.1f} s {'in an outage' if in_outage else 'with the store'}: {len(ids):,} "
            f"acknowledged, {before:,} groups in the spool before, {groups_in(spool):,} after",
            flush=True,
        )
    if arguments.kills % 2:
        stack.start_minio()
    with api(lake, key, *settings):
        until = time.monotonic() + _DRAIN_SECONDS
        while groups_in(spool) and time.monotonic() < until:
            time.sleep(0.2)
    print(f"{outage_events / outage_seconds:,.0f} events/s acknowledged in outages; left: {groups_in(spool):,} groups")
    return acknowledged


def _kill_processes(arguments: argparse.Namespace, lake: hp.MinIO, key: str) -> set[str]:
    """Kills the API, or one of its workers; returns the acknowledged ids."""
    acknowledged = set[str]()
    for number in range(arguments.kills):
        after = random.uniform(0.3, 2.5)  # noqa: S311  any moment will do
        port = free_ports(1)[0]
        settings = [*(EACH if number % 3 == 2 else GROUPED)]  # noqa: PLR2004  the third
        if arguments.workers > 1:
            settings += ["--workers", str(arguments.workers)]
        command = naive(lake, port) if arguments.naive else ours(lake, port, *settings)
        with running(command, lake, key, port) as process:
            one = arguments.workers > 1 and number % 2 == 0
            kill = partial(_kill_a_worker if one else _kill_all, process.pid)
            url = f"http://127.0.0.1:{port}"
            ids = asyncio.run(_until_killed(url, key, after, kill, arguments.senders))
        acknowledged.update(ids)
        print(f"kill {number + 1} after {after:.1f} s: {len(ids):,} acknowledged", flush=True)
    return acknowledged


def _kill_all(pid: int) -> None:
    for each in processes_of(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def _kill_a_worker(pid: int) -> None:
    workers = [each for each in processes_of(pid)[1:] if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]
    os.kill(random.choice(workers), signal.SIGKILL)  # noqa: S311  any worker will do


def main() -> int:
    """Returns 0 if no acknowledged event was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--senders", type=int, default=32, help="at one time (default: 32)")
    parser.add_argument("--spool", action="store_true", help="with a spool, and outages of the store")
    parser.add_argument("--workers", type=int, default=1, help="processes of the API (default: 1)")
    parser.add_argument("--naive", action="store_true", help="an API as people write it first")
    arguments = parser.parse_args()
    if not 0 < arguments.kills <= _MOST:
        parser.error("--kills is between 1 and 1,000")
    key, acknowledged = secrets.token_urlsafe(24), set[str]()
    with hp.local.stack() as stack, tempfile.TemporaryDirectory() as folder:
        if arguments.spool:
            acknowledged = _kill_with_outages(arguments, stack, key, Path(folder))
            return _report(acknowledged, stored_ids(stack.minio), once=True)
        lake = stack.new_bucket()
        acknowledged = _kill_processes(arguments, lake, key)
        return _report(acknowledged, stored_ids(lake), once=False)


def _report(acknowledged: set[str], stored: Counter[str], *, once: bool) -> int:
    lost = sum(not stored[each] for each in acknowledged)
    several = sum(stored[each] > 1 for each in acknowledged)
    print(f"{len(acknowledged):,} acknowledged, {lost:,} lost, {several:,} stored more than once")
    return 1 if lost or not acknowledged or (once and several) else 0


if __name__ == "__main__":
    sys.exit(main())
