"""A bucket with objects of every kind, and what comes out of it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from settled_flow import event_lines
from store_contents import put_object

import holded_pipeline as hp

SMALL_UNITS: dict[str, Any] = {"unit_bytes": 4_000, "unit_objects": 3}
"""So that the files which `store_mixed_objects` calls huge are above a unit."""


def store_mixed_objects(lake: hp.MinIO) -> int:
    """Stores small, empty, huge, compressed and broken objects, some under odd keys; returns how many records."""
    names = [f"small-{number}" for number in range(6)] + ["ñandú 日本-🚲", "a+b%20c&d=e"]
    for name in names:
        put_object(lake, f"raw/{name}.jsonl", event_lines(f"{name}-a", f"{name}-b"))
    put_object(lake, "raw/empty.jsonl", b"")
    put_object(lake, "raw/huge.jsonl", event_lines(*(f"h{n}" for n in range(300)), broken=3))
    put_object(lake, "raw/huge.jsonl.gz", gzip.compress(event_lines(*(f"z{n}" for n in range(300))), 0))
    documents = [json.loads(line) for line in event_lines(*(f"d{n}" for n in range(60))).splitlines()]
    put_object(lake, "raw/documents.json", json.dumps(documents, indent=2).encode())
    put_object(lake, "other/a.jsonl", event_lines("other"))
    return len(names) * 2 + 303 + 300 + 60


def records_read(run: Callable[..., Any], lake: hp.MinIO, *pattern: str, **settings: Any) -> Counter[Any]:
    """How often each event and each rejected record came out, each with its place. `run` is the fixture."""
    read = run(lambda p: (p | hp.ReadMinIO(lake, *pattern, envelope="flat", **settings))._asdict())
    places = [(event.id, event.source) for event in read["passed"]]
    return Counter(places + [(each.reason, each.source) for each in read["rejected"]])
