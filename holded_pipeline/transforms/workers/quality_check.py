"""What Enrich does with quality scores: measures them, and rejects events below `min_quality`."""

from __future__ import annotations

from typing import Any

from apache_beam.metrics import Metrics

from holded_pipeline.enriching.quality_score import broken_rules, reject_below, score_of
from holded_pipeline.transforms.beam.counts import NAMESPACE
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.transforms.workers.enrich_outputs import STAGE

_MAX_KNOWN = 100  # results that are remembered; one of a user's may be large
_MAX_TYPES = 50  # event types with a distribution of their own, since each metric has a cost; the others share one


class QualityCheck:
    """The result check of the enricher `quality`, whoever wrote that enricher.

    Args:
        minimum: from 0 to 1; events with a lower score are rejected. None for no minimum.
    """

    def __init__(self, minimum: float | None) -> None:
        self._minimum = minimum
        self._distributions: dict[str, Any] = {}
        self._counters = Counters(STAGE)
        self._known: dict[int, tuple[Any, tuple[str, ...], int | None]] = {}

    def measure(self, event_type: str, quality: Any) -> None:
        """Counts broken rules, and adds the score to the distribution of the event's type."""
        known = self._known.get(id(quality))
        if known is None or known[0] is not quality:  # events with the same verdicts share one
            known = self._assess(quality)
        _, broken, per_mille = known
        for rule in broken:
            self._counters.add(f"rule_errors.{rule}")
        if per_mille is not None:
            self._distribution(event_type).update(per_mille)

    def _assess(self, quality: Any) -> tuple[Any, tuple[str, ...], int | None]:
        score = score_of(quality)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        found = quality, tuple(broken_rules(quality)), None if score is None else round(score * 1000)
        self._known[id(quality)] = found  # which keeps the result, so that no other gets its id
        return found

    def reject_if(self, quality: Any) -> None:
        """Raises RejectRecord if the score is below the minimum."""
        if self._minimum is not None:
            reject_below(quality, self._minimum)

    def flush(self) -> None:
        """Passes on the counts, at the end of a bundle."""
        self._counters.flush()

    def _distribution(self, event_type: str) -> Any:
        distribution = self._distributions.get(event_type)
        if distribution is None:
            has_own = len(self._distributions) < _MAX_TYPES
            name = event_type.rpartition("\\")[2][:100] if has_own else "other"
            distribution = Metrics.distribution(NAMESPACE, f"{STAGE}.quality_per_mille.{name}")
            if has_own:
                self._distributions[event_type] = distribution
        return distribution
