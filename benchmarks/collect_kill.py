"""Kills the ingestion API under load, many times, and looks for every acknowledged event.

    python benchmarks/collect_kill.py --kills 20

It starts a store and the API on loopback, and stops them at the end. The exit code is 1 if an acknowledged event is
not in the store.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
from collections.abc import Callable

import aiohttp
from api_process import EACH, GROUPED, api

import holded_pipeline as hp

_MOST = 1_000


async def _until_killed(url: str, key: str, kill_after: float, kill: Callable[[], None], senders: int) -> list[str]:
    """Sends until the API is killed; returns the acknowledged ids."""
    acknowledged: list[str] = []
    headers = {"X-API-Key": key}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=senders)) as session:

        async def send(number: int) -> None:
            package = [{"sender": number, "text": "x" * 300}] * (1 + number % 5)
            try:
                while True:
                    async with session.post(f"{url}/collect", json=package) as answer:
                        collected = await answer.json()
                        acknowledged.extend(each["event_id"] for each in collected.get("accepted", ()))
            except (aiohttp.ClientError, ValueError):
                return

        senders_at_work = [asyncio.create_task(send(number)) for number in range(senders)]
        await asyncio.sleep(kill_after)
        kill()
        await asyncio.gather(*senders_at_work)
    return acknowledged


def stored_ids(lake: hp.MinIO) -> set[str]:
    """The event ids in the bucket."""
    filesystem = lake.filesystem()
    keys = filesystem.find(f"{lake.bucket}/raw")
    return {json.loads(line)["event_id"] for key in keys for line in filesystem.cat(key).splitlines()}


def main() -> int:
    """Returns 0 if no acknowledged event was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--senders", type=int, default=32, help="at one time (default: 32)")
    arguments = parser.parse_args()
    if not 0 < arguments.kills <= _MOST:
        parser.error("--kills is between 1 and 1,000")
    key, acknowledged = secrets.token_urlsafe(24), set()
    with hp.local.stack() as stack:
        lake = stack.new_bucket()
        for number in range(arguments.kills):
            after = random.uniform(0.3, 2.5)  # noqa: S311  any moment will do
            with api(lake, key, *(EACH if number % 3 == 2 else GROUPED)) as (url, process):  # noqa: PLR2004  the third
                ids = asyncio.run(_until_killed(url, key, after, process.kill, arguments.senders))
            acknowledged.update(ids)
            print(f"kill {number + 1} after {after:.1f} s: {len(ids):,} acknowledged", flush=True)
        lost = acknowledged - stored_ids(lake)
    print(f"{len(acknowledged):,} acknowledged, {len(lost):,} lost")
    return 1 if lost or not acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
