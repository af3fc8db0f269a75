"""Enrich: adds the results of enrichers to events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

import apache_beam as beam

from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.enriching.enricher_types import AnyEnricher
from holded_pipeline.enriching.masking import require_keyed_fingerprints
from holded_pipeline.enriching.quality_score import validate_minimum
from holded_pipeline.model.values import Event, Outcome
from holded_pipeline.plugins.registry import PluginRegistry, default_registry
from holded_pipeline.transforms.beam.event_batches import comes_in_batches
from holded_pipeline.transforms.beam.inputs import require_events
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_enricher_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.workers.enrich_outputs import EnrichSettings
from holded_pipeline.transforms.workers.quality_check import QualityCheck
from holded_pipeline.transforms.workers.run_batches import RunBatches
from holded_pipeline.transforms.workers.run_enrichers import (
    EnrichEventBatches,
    RunBuiltinEnrichers,
    RunEnrichers,
    can_run_in_batches,
)


class Enrich(RejectingTransform[Event]):
    """Adds the results of enrichers to each event's metadata, one after the other.

    Takes a PCollection of `Event` and gives an `Outcome`: `passed` is a PCollection of `Event`, `rejected` one of
    `Rejected` with stage `enrich`. `metadata["enrichers"]` says which enrichers ran, their versions, and which were
    skipped.

    Args:
        enrichers: names of registered enrichers (built in: `processing`, `business_context`, `quality`), functions
            `(event) -> mapping` (stored under the function's name), objects with `enrich_batch`, `Quality` with
            your own rules, or `Enricher` values with options. Each sees the results of those before it.
        registry: where names are looked up; by default that of the installed plugins.
        min_quality: from 0 to 1; events with a lower score in the entry `quality` are rejected (reason
            `low_quality`), and the enrichers that follow are not called for them. An enricher named `quality` must be
            among the enrichers, one of your own too. `hp.Quality(minimum=...)` does the same for itself.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     enriched = raw.passed | hp.Enrich("processing", "business_context", "quality", min_quality=0.2)

    Raises:
        ValueError: there is no enricher of that name (the message lists the known ones), none is given, two
            have the same name, or `min_quality` is not from 0 to 1.
        ConfigurationError: a `Fingerprint` without a key is beside a `Mask`, which it undoes;
            (applying) an enricher or a quality rule cannot be pickled, or a `for_run` raised;
            (running) an enricher cannot be opened, or lacks a file or a grant.
        EnricherError: (running) an enricher failed whose `on_error` is `fail`.
        TransientError: (running) an enricher met an outage that outlasted its `retry`, if it has one; or too many of
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
        registry = registry or default_registry()
        self._enrichers = [registry.enricher(enricher) for enricher in enrichers]
        if not self._enrichers:
            known = ", ".join(sorted(registry.enrichers))
            raise ValueError(f"Enrich needs at least one enricher; known by name are: {known}")
        twice = [name for name, count in Counter(e.name for e in self._enrichers).items() if count > 1]
        if twice:
            raise ValueError(f"two enrichers have the name {twice[0]!r}; rename one with hp.Enricher(name, function)")
        _validate_min_quality(min_quality, self._enrichers)
        require_keyed_fingerprints((enricher.name, enricher.function) for enricher in self._enrichers)
        self._min_quality = min_quality

    def expand(self, events: beam.PCollection) -> Outcome:
        """A ParDo for each batch enricher and for all those between two of them."""
        require_events(events, "Enrich")
        run_id, step = run_id_of(events.pipeline), step_of(events.pipeline)
        enrichers = [enricher.for_run(run_id) for enricher in self._enrichers]
        for enricher in enrichers:
            check_enricher_picklable(enricher)
        rejected = []
        for group in _groups(enrichers):
            checks = {"quality": QualityCheck(self._min_quality)}
            settings = EnrichSettings(run_id, step, checks, is_last=group[-1] is enrichers[-1])
            if group[0].takes_batches:
                label, run = f"RunBatches_{group[0].name}", RunBatches(group[0], settings)
            else:
                in_batches = events.windowing.is_default() and can_run_in_batches(group)
                builtin = EnrichEventBatches if comes_in_batches(events) else RunBuiltinEnrichers
                kind = builtin if in_batches else RunEnrichers
                label, run = f"RunEnrichers_{group[0].name}", kind(group, settings)
            outputs = events | label >> beam.ParDo(run).with_outputs(REJECTED, main=PASSED)
            events = outputs[PASSED]
            events.element_type = Event
            rejected.append(outputs[REJECTED])
        together = rejected[0] if len(rejected) == 1 else tuple(rejected) | "Rejected" >> beam.Flatten()
        outcome: Outcome = self._outcome(events, together, Event)
        return outcome


def _groups(enrichers: Iterable[Enricher]) -> Iterator[list[Enricher]]:
    """Groups of enrichers that share a DoFn: each batch enricher alone, and those between two of them together."""
    for takes_batches, group in groupby(enrichers, key=lambda enricher: enricher.takes_batches):
        if takes_batches:
            yield from ([enricher] for enricher in group)
        else:
            yield list(group)


def _validate_min_quality(minimum: float | None, enrichers: Iterable[Enricher]) -> None:
    if minimum is None:
        return
    validate_minimum(minimum, "min_quality")
    if all(enricher.name != "quality" for enricher in enrichers):
        raise ValueError('min_quality needs scores: put "quality" or hp.Quality(...) among the enrichers')
