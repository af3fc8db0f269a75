"""The built-in enrichers: when and by what an event was processed, its business context, its quality."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from holded_pipeline.core import quality_rules
from holded_pipeline.core.business_context import aggregate_of, business_context_of
from holded_pipeline.core.quality import Rule, assess, ruleset_of
from holded_pipeline.core.values import Event


@attrs.frozen
class Processing:
    """Says when, by which version and in which run an event was processed.

    Attributes:
        pipeline_version: the version of the pipeline.
        clock: gives the time, with a time zone; a function that can be pickled.
        run_id: the run; None until `for_run` was called.
    """

    pipeline_version: str
    clock: Callable[[], datetime]
    run_id: str | None = None

    def for_run(self, run_id: str) -> Processing:
        """The enricher for one run."""
        return attrs.evolve(self, run_id=run_id)

    def __call__(self, event: Event) -> dict[str, Any]:
        """The entries `processed_at` (ISO-8601, UTC), `pipeline_version` and `run_id`."""
        del event  # the same for every event
        return {
            "processed_at": self.clock().astimezone(UTC).isoformat(),
            "pipeline_version": self.pipeline_version,
            "run_id": self.run_id,
        }


def business_context(event: Event) -> dict[str, Any]:
    """The entries `context`, and `aggregate` (None where the type does not tell)."""
    return {"context": business_context_of(event.type), "aggregate": aggregate_of(event.type)}


def _as_tuple(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(rules)


@attrs.frozen
class Quality:
    """Scores events by rules; see `quality.assess` for what it says of each.

    Attributes:
        rules: what events are judged by; at least one.
        ruleset: the version of the rules that is kept with each score; by default made from the rules, so that
            it changes when they do.
    """

    rules: Sequence[Rule] = attrs.field(
        default=quality_rules.RULES, converter=_as_tuple, validator=attrs.validators.min_len(1)
    )
    ruleset: str = attrs.field()

    @ruleset.default
    def _ruleset_of_rules(self) -> str:
        return ruleset_of(self.rules, "holded-1" if self.rules == quality_rules.RULES else "custom")

    def __call__(self, event: Event) -> dict[str, Any]:
        """The entries `score`, `failed`, `dimensions` and `ruleset`."""
        return assess(event, self.rules, self.ruleset)
