"""The built-in enrichers: when and by what an event was processed, its business context, its quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import attrs

from holded_pipeline.enriching import quality_rules
from holded_pipeline.enriching.checks import usable_text
from holded_pipeline.enriching.quality import QualityRule, assess, ruleset_of
from holded_pipeline.model.business_context import aggregate_of, business_context_of
from holded_pipeline.model.values import Event


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
    deterministic: ClassVar[bool] = False  # it tells the time

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


def _as_rules(rules: Iterable[Any]) -> tuple[QualityRule, ...]:
    found = tuple(rules)
    for rule in found:
        if not isinstance(rule, QualityRule):
            raise TypeError(f"quality is judged by hp.QualityRule values, got {rule!r}")
    return found


@attrs.frozen
class Quality:
    """The enricher `quality`: scores events by rules; see `quality.assess` for what it says of each.

    Attributes:
        rules: rules of your own.
        extend: whether they stand beside the registered rules (the built-in ones and the plugins'), or alone.
        ruleset: the version of the rules that is kept with each score; by default made from the rules, so that
            it changes when they do.
        registered: the rules they stand beside; the built-in ones until `Enrich` puts in those of its registry.
    """

    rules: Sequence[QualityRule] = attrs.field(default=(), converter=_as_rules)
    extend: bool = attrs.field(default=True, kw_only=True)
    ruleset: str | None = attrs.field(default=None, kw_only=True, validator=attrs.validators.optional(usable_text))
    registered: Sequence[QualityRule] = attrs.field(default=quality_rules.RULES, kw_only=True, converter=_as_rules)
    name: ClassVar[str] = "quality"
    _judges: tuple[QualityRule, ...] = attrs.field(init=False, eq=False, repr=False)
    _version: str = attrs.field(init=False, eq=False, repr=False)

    @_judges.default
    def _rules_to_judge_by(self) -> tuple[QualityRule, ...]:
        rules = (*self.registered, *self.rules) if self.extend else tuple(self.rules)
        twice = [name for name, count in Counter(rule.id for rule in rules).items() if count > 1]
        if twice:
            raise ValueError(f"two quality rules have the id {twice[0]!r}; rename one of them")
        if not rules:
            raise ValueError("there is no quality rule to judge by; give some, or leave out extend=False")
        return rules

    @_version.default
    def _version_of_rules(self) -> str:
        return self.ruleset or ruleset_of(self._judges, "holded-1" if self._judges == quality_rules.RULES else "custom")

    @property
    def others_rules(self) -> tuple[str, ...]:
        """The ids of the rules that are not built in."""
        return tuple(rule.id for rule in self._judges if rule not in quality_rules.RULES)

    def __call__(self, event: Event) -> dict[str, Any]:
        """The entries `score`, `failed`, `dimensions` and `ruleset`; and `errors`, if a rule is broken."""
        return assess(event, self._judges, self._version)
