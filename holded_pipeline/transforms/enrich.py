"""Enrich: what the pipeline learns about an event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

import apache_beam as beam

from holded_pipeline.enriching.enricher import AnyEnricher, Enricher
from holded_pipeline.model.values import Event, Outcome
from holded_pipeline.plugins.registry import PluginRegistry, default_registry
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_enricher_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.workers.run_enrichers import EnrichSettings, RunBatches, RunEnrichers


class Enrich(RejectingTransform[Event]):
    """Adds the results of enrichers to each event's metadata, one after the other.

    Takes a PCollection of `Event` and gives an `Outcome`: `passed` is a PCollection of `Event`, `rejected` one of
    `Rejected` with stage `enrich`. Which enrichers ran, their versions and whether one was skipped stands under
    `metadata["enrichers"]`.

    Args:
        enrichers: names of registered enrichers (built in: `processing`, `business_context`, `quality`), functions
            `(event) -> mapping` (stored under the function's name), objects with `enrich_batch`, `Quality` with
            rules of your own, or `Enricher` values with options. An enricher sees what those before it added.
        registry: where names are looked up; by default the installed plugins'.
        min_quality: from 0 to 1; events whose quality score is under it are rejected (reason `low_quality`). The
            enricher `quality` must be among the enrichers. It is looked at right after that one, so the enrichers
            that follow are spared.

    Raises:
        ValueError: there is no enricher of that name (the message lists the known ones), none is given, two
            have the same name, or `min_quality` is none.
        ConfigurationError: (applying) an enricher or a quality rule cannot be sent to workers, or a `for_run` raised;
            (running) an enricher cannot be opened, or misses a file or a grant.
        EnricherError: (running) an enricher failed whose `on_error` is `fail`.
        TransientError: (running) an enricher met an outage and its `retry`, if it has one, is over; or too many of
            its calls hang at the same time.

    **Guarantees:** each event comes out once, enriched by all or rejected, its data unaltered; an enricher's error is
    the event's rejection or the run's failure, as its `on_error` says. Timestamps and windows stay. No order. Parallel
    over bundles.
    """

    def __init__(
        self,
        *enrichers: str | AnyEnricher | Enricher,
        registry: PluginRegistry | None = None,
        min_quality: float | None = None,
    ) -> None:
        super().__init__()
        names = registry or default_registry()
        self._enrichers = [names.enricher(enricher) for enricher in enrichers]
        if not self._enrichers:
            known = ", ".join(sorted(names.enrichers))
            raise ValueError(f"Enrich needs at least one enricher; known by name are: {known}")
        twice = [name for name, count in Counter(e.name for e in self._enrichers).items() if count > 1]
        if twice:
            raise ValueError(f"two enrichers have the name {twice[0]!r}; rename one with hp.Enricher(name, function)")
        self._min_quality = _usable_minimum(min_quality, {enricher.name for enricher in self._enrichers})

    def expand(self, events: beam.PCollection) -> Outcome:
        """A ParDo for each batch enricher and for all those between two of them."""
        run_id, step = run_id_of(events.pipeline), step_of(events.pipeline)
        enrichers = [enricher.for_run(run_id) for enricher in self._enrichers]
        for enricher in enrichers:
            check_enricher_picklable(enricher)
        rejected = []
        for group in _groups(enrichers):
            settings = EnrichSettings(run_id, step, self._min_quality, is_last=group[-1] is enrichers[-1])
            if group[0].takes_batches:
                label, run = f"RunBatches_{group[0].name}", RunBatches(group[0], settings)
            else:
                label, run = f"RunEnrichers_{group[0].name}", RunEnrichers(group, settings)
            outputs = events | label >> beam.ParDo(run).with_outputs(REJECTED, main=PASSED)
            events = outputs[PASSED]
            events.element_type = Event
            rejected.append(outputs[REJECTED])
        together = rejected[0] if len(rejected) == 1 else tuple(rejected) | "Rejected" >> beam.Flatten()
        outcome: Outcome = self._outcome(events, together, Event)
        return outcome


def _groups(enrichers: Iterable[Enricher]) -> Iterator[list[Enricher]]:
    """Each batch enricher alone, and what stands between two of them together."""
    for takes_batches, group in groupby(enrichers, key=lambda enricher: enricher.takes_batches):
        if takes_batches:
            yield from ([enricher] for enricher in group)
        else:
            yield list(group)


def _usable_minimum(minimum: float | None, names: set[str]) -> float | None:
    if minimum is None:
        return None
    if isinstance(minimum, bool) or not isinstance(minimum, int | float) or not 0 <= minimum <= 1:
        raise ValueError(f"min_quality is a number from 0 to 1, got {minimum!r}")
    if "quality" not in names:
        raise ValueError('min_quality needs scores: put "quality" or hp.Quality(...) among the enrichers')
    return float(minimum)
