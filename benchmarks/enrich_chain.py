"""What it costs to enrich an event, and how much of that each safeguard costs: in one run, as ratios.

    python benchmarks/enrich_chain.py [--events 2000]

Figures are the best of several rounds. The ways alternate in each round, so that a busy machine affects all of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import holded_pipeline as hp
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model import json_codec
from holded_pipeline.reading.envelopes import ENVELOPES
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls

ROUNDS = 9
CHAIN = ("processing", "business_context", "quality")


def sample(count: int) -> list[hp.Event]:
    """Events as they are read from the store."""
    source = hp.Source("bucket", "raw/events.jsonl", "etag", 1)
    lines = (each.line for each in hp.testing.sample_events(count, faults=0))
    return [ENVELOPES["holded"](json_codec.decode(line), source) for line in lines]


def unguarded(events: list[hp.Event], enrichers: list[Enricher]) -> None:
    """The bare functions on the events: no copy, no provenance, only the check that results are JSON."""
    for event in events:
        enriched = event
        for enricher in enrichers:
            function: Any = enricher.function  # a plain function, though an enricher may be more
            result = dict(function(enriched))
            json_codec.check_json_value(result)
            enriched = enriched.with_metadata(**{enricher.name: result})


def guarded(events: list[hp.Event], calls: list[EnricherCalls]) -> None:
    """Enriches as a worker does."""
    for event in events:
        draft = Draft(event)
        for each in calls:
            each.apply(draft)
        draft.event()


def read_only_only(events: list[hp.Event]) -> None:
    """Only makes the read-only view."""
    for event in events:
        _ = Draft(event).view


def compared_by_encoding(events: list[hp.Event], enrichers: list[Enricher]) -> None:
    """The alternative: encode the event before and after each enricher, and compare."""
    for event in events:
        for _ in enrichers:
            before = json_codec.encode((event.data, event.metadata))
            if json_codec.encode((event.data, event.metadata)) != before:
                raise AssertionError


def measure(ways: dict[str, Callable[[], None]], count: int) -> dict[str, float]:
    """Microseconds per event of each way."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            best[name] = min(best[name], (time.perf_counter() - begun) / count * 1e6)
    return best


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000)
    count = parser.parse_args().events
    events = sample(count)
    registry = hp.PluginRegistry()
    enrichers = [registry.enricher(name).for_run("benchmark") for name in CHAIN]
    calls = [EnricherCalls(enricher) for enricher in enrichers]
    best = measure(
        {
            "bare functions": lambda: unguarded(events, enrichers),
            "Enrich": lambda: guarded(events, calls),
            "of it the read-only view": lambda: read_only_only(events),
            "instead of it, comparing": lambda: compared_by_encoding(events, enrichers),
        },
        count,
    )
    bare = best["bare functions"]
    print(f"{datetime.now(UTC):%Y-%m-%d}, {count:,} events, chain {', '.join(CHAIN)}")
    for name, microseconds in best.items():
        print(f"{name:26} {microseconds:8.1f} µs an event   {microseconds / bare:5.2f} of the bare functions")


if __name__ == "__main__":
    main()
