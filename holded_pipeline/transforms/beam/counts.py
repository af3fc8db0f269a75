"""Beam's counters of this library, from the result of a run."""

from __future__ import annotations

from typing import Any

from apache_beam.metrics import MetricsFilter

NAMESPACE = "holded_pipeline"


def counts_of_result(result: Any) -> dict[str, int]:
    """The counters of a run, those of several steps with the same name added."""
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    counts: dict[str, int] = {}
    for metric in found:
        counts[metric.key.metric.name] = counts.get(metric.key.metric.name, 0) + metric.result
    return counts
