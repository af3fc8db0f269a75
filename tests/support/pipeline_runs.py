"""One transform in a pipeline of its own: elements in, what it returned out. `run` is the fixture of that name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam

import holded_pipeline as hp


def run_enrich(run: Callable[..., Any], *enrichers: Any, events: Iterable[hp.Event], **settings: Any) -> Any:
    """`hp.Enrich(*enrichers, **settings)` over events: the lists `passed` and `rejected`, and the counters."""
    return run(lambda p: (p | beam.Create(list(events)) | hp.Enrich(*enrichers, **settings))._asdict())


def run_load(run: Callable[..., Any], db: hp.Postgres, elements: Iterable[Any], **settings: Any) -> Any:
    """`hp.WritePostgres(db, **settings)` over elements in one bundle: the lists `receipts` and `rejected`."""

    def build(p: beam.Pipeline) -> dict[str, Any]:
        loaded = p | beam.Create(list(elements), reshuffle=False) | hp.WritePostgres(db, **settings)
        return {"receipts": loaded.passed, "rejected": loaded.rejected}

    return run(build)
