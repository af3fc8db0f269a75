"""What a timeout costs a call that returns in time: passing it to another thread and back, as a ratio, in one run.

python benchmarks/enrich_timeout.py [--calls 20000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import holded_pipeline as hp
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls

ROUNDS = 5
EVENT = hp.Event(id="e", type="t", company_id="c", occurred_at=datetime.now(UTC), data={"amount": 2})


def learn(event: hp.Event) -> Mapping[str, Any]:
    """An enricher that costs almost nothing, so that the rest is visible."""
    return {"amount": event.data["amount"]}


def learn_slowly(event: hp.Event) -> Mapping[str, Any]:
    """An enricher that takes 200 µs, like a read from a cache on another machine."""
    until = time.perf_counter() + 200e-6
    while time.perf_counter() < until:
        pass
    return {"amount": event.data["amount"]}


def seconds_per_call(calls: EnricherCalls, count: int) -> float:
    """How long one call takes on average."""
    begun = time.perf_counter()
    for _ in range(count):
        calls.apply(Draft(EVENT))
    return (time.perf_counter() - begun) / count


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    count = parser.parse_args().calls
    for function in (learn, learn_slowly):
        ways = {
            "without": EnricherCalls(hp.Enricher("learn", function)),
            "with": EnricherCalls(hp.Enricher("learn", function, timeout=30)),
        }
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(ROUNDS):
            for name, calls in ways.items():
                best[name] = min(best[name], seconds_per_call(calls, count // ROUNDS) * 1e6)
        extra = best["with"] - best["without"]
        print(
            f"{function.__name__:13} without a timeout {best['without']:7.1f} µs, with one {best['with']:7.1f} µs: "
            f"{best['with'] / best['without']:.2f} times, {extra:.1f} µs an event"
        )


if __name__ == "__main__":
    main()
