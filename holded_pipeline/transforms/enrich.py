"""Enrich: what the pipeline learns about an event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam

from holded_pipeline.core.enrichment import Enricher, EnrichFunction
from holded_pipeline.core.errors import RejectRecord
from holded_pipeline.core.rejections import reject
from holded_pipeline.core.values import Event, Outcome
from holded_pipeline.plugins.registry import Registry, default_registry
from holded_pipeline.transforms.outcome import PASSED, REJECTED, Counters, RejectingTransform
from holded_pipeline.transforms.run_id import run_id_of

_STAGE = "enrich"


class Enrich(RejectingTransform[Event]):
    """Adds the results of enrichers to each event's metadata, one after the other.

    Takes a PCollection of `Event` and gives an `Outcome`: `passed` is a PCollection of `Event`, `rejected` one of
    `Rejected` with stage `enrich`.

    Args:
        enrichers: names of registered enrichers (built in: `processing`, `business_context`, `quality`), functions
            `(event) -> mapping` (stored under the function's name), or `Enricher` values. An enricher sees what
            those before it added.
        registry: where names are looked up; by default the installed plugins'.

    Raises:
        ValueError: there is no enricher of that name (the message lists the known ones), none is given, or two
            have the same name.

    **Guarantees:** each event comes out once, enriched by all or rejected; an enricher's error is the event's
    rejection or the run's failure, as its `on_error` says. No order. Parallel over bundles.
    """

    def __init__(self, *enrichers: str | EnrichFunction | Enricher, registry: Registry | None = None) -> None:
        super().__init__()
        names = registry or default_registry()
        self._enrichers = [names.enricher(enricher) for enricher in enrichers]
        if not self._enrichers:
            known = ", ".join(sorted(names.enrichers))
            raise ValueError(f"Enrich needs at least one enricher; known by name are: {known}")
        twice = [name for name, count in Counter(e.name for e in self._enrichers).items() if count > 1]
        if twice:
            raise ValueError(f"two enrichers have the name {twice[0]!r}; rename one with hp.Enricher(name, function)")

    def expand(self, events: beam.PCollection) -> Outcome:
        """One ParDo for all of them."""
        run_id = run_id_of(events.pipeline)
        enrichers = [enricher.for_run(run_id) for enricher in self._enrichers]
        outputs = events | "RunEnrichers" >> beam.ParDo(_RunEnrichers(enrichers, run_id)).with_outputs(
            REJECTED, main=PASSED
        )
        outcome: Outcome = self._outcome(outputs[PASSED], outputs[REJECTED], Event)
        return outcome


class _RunEnrichers(beam.DoFn):
    def __init__(self, enrichers: Sequence[Enricher], run_id: str) -> None:
        self._enrichers = enrichers
        self._run_id = run_id
        self._counters = Counters(_STAGE)

    def process(self, event: Event) -> Iterator[Any]:
        enriched = event
        try:
            for enricher in self._enrichers:
                enriched = enricher(enriched)
        except RejectRecord as fault:
            yield self._counters.rejected(
                reject(
                    fault,
                    stage=_STAGE,
                    raw=event.raw,
                    run_id=self._run_id,
                    rejected_at=datetime.now(UTC),
                    event=enriched,
                )
            )
            return
        self._counters.add("passed")
        yield enriched
