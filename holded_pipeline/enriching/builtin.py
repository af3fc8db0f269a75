"""The built-in enrichers: `processing`, `business_context` and `quality`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Protocol

import attrs

from holded_pipeline.enriching import quality_rules
from holded_pipeline.enriching.builtin_verdicts import builtin_verdicts
from holded_pipeline.enriching.checks import validate_text
from holded_pipeline.enriching.quality import QualityRule, RuleVerdict, assess, result_of, ruleset_of
from holded_pipeline.enriching.quality_score import reject_below, validate_minimum
from holded_pipeline.model.business_context import aggregate_of, business_context_of
from holded_pipeline.model.carried_text import Entry, make_entry
from holded_pipeline.model.values import Event


@cache
def package_version() -> str:
    """The version of this library."""
    try:
        return version("holded-pipeline")
    except PackageNotFoundError:  # imported from a source tree that is not installed
        return "0+uninstalled"


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@attrs.frozen
class Processing:
    """Records when, by which version and in which run an event was processed.

    Attributes:
        pipeline_version: the version of the pipeline.
        clock: returns the time, with a time zone; a function that can be pickled.
        run_id: the run; None until `for_run` was called.
    """

    pipeline_version: str
    clock: Callable[[], datetime]
    run_id: str | None = None
    deterministic: ClassVar[bool] = False  # it reads the clock

    @property
    def has_default_clock(self) -> bool:
        """Whether the clock is the system's."""
        return self.clock is utc_now

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
    """The entries `context`, and `aggregate` (None if the type has none)."""
    return {"context": business_context_of(event.type), "aggregate": aggregate_of(event.type)}


def _as_rules(rules: Iterable[Any]) -> tuple[QualityRule, ...]:
    found = tuple(rules)
    for rule in found:
        if not isinstance(rule, QualityRule):
            raise TypeError(f"the rules of Quality are hp.QualityRule values, got {rule!r}")
    return found


class RuleRegistry(Protocol):
    """What registered rules are read from; `hp.PluginRegistry` is one."""

    @property
    def quality_rules(self) -> Sequence[QualityRule]:
        """The registered rules."""
        ...


def _validate_minimum(_: object, __: object, minimum: Any) -> None:
    validate_minimum(minimum, "Quality.minimum")


@attrs.frozen
class Quality:
    """The enricher `quality`: scores events by rules; see `quality.assess` for the result.

    Attributes:
        rules: your own rules.
        extend: whether your rules are added to the registered ones (the built-in ones and those of plugins), or used
            alone.
        ruleset: the version of the rules that is kept with each score; by default made from the rules, so that
            it changes when they do.
        minimum: from 0 to 1; an event with a lower score is rejected (reason `low_quality`), and enrichers that follow
            are not called for it. None for no minimum.
        registered: the registered rules; the built-in ones until `Enrich` sets those of its registry.

    Example:
        >>> def has_vat(event):
        ...     return None if "vat" in event.data else "no VAT number"
        >>> rule = hp.QualityRule("vat.present", "completeness", 2, has_vat)
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     enriched = raw.passed | hp.Enrich(hp.Quality([rule], minimum=0.2))

    Raises:
        ValueError: two rules have the same id, there is no rule, or `minimum` is not from 0 to 1.
        TypeError: a rule is not a `QualityRule`.
    """

    rules: Sequence[QualityRule] = attrs.field(default=(), converter=_as_rules)
    extend: bool = attrs.field(default=True, kw_only=True)
    ruleset: str | None = attrs.field(default=None, kw_only=True, validator=attrs.validators.optional(validate_text))
    minimum: float | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(_validate_minimum)
    )
    registered: Sequence[QualityRule] = attrs.field(
        default=quality_rules.RULES, kw_only=True, converter=_as_rules, repr=False
    )
    name: ClassVar[str] = "quality"
    _used_rules: tuple[QualityRule, ...] = attrs.field(init=False, eq=False, repr=False)
    _ruleset: str = attrs.field(init=False, eq=False, repr=False)

    @_used_rules.default
    def _combine_rules(self) -> tuple[QualityRule, ...]:
        rules = (*self.registered, *self.rules) if self.extend else tuple(self.rules)
        twice = [name for name, count in Counter(rule.id for rule in rules).items() if count > 1]
        if twice:
            raise ValueError(f"two quality rules have the id {twice[0]!r}; rename one of them")
        if not rules:
            raise ValueError("Quality has no quality rule; give some, or omit extend=False")
        return rules

    @_ruleset.default
    def _name_ruleset(self) -> str:
        name = "holded-1" if self._used_rules == quality_rules.RULES else "custom"
        return self.ruleset or ruleset_of(self._used_rules, name)

    @property
    def version(self) -> str:
        """The version of this library."""
        return package_version()

    @property
    def user_code(self) -> tuple[QualityRule, ...]:
        """The rules that are not built in."""
        return tuple(rule for rule in self._used_rules if rule not in quality_rules.RULES)

    def for_registry(self, registry: RuleRegistry) -> Quality:
        """The enricher with the registered rules; a rule of yours that is registered too is used once."""
        if not self.extend:
            return self
        return attrs.evolve(self, registered=[rule for rule in registry.quality_rules if rule not in self.rules])

    def __call__(self, event: Event) -> dict[str, Any]:
        """The entries `score`, `failed`, `dimensions` and `ruleset`; and `errors`, if a rule is broken."""
        return assess(event, self._used_rules, self._ruleset)

    def entry_function(self, name: str) -> Callable[[Event], Entry]:
        """Gives what `__call__` returns as an entry of the metadata, if all rules are built in; for JSON values."""
        positions = [quality_rules.RULES.index(rule) for rule in self._used_rules]

        @lru_cache(maxsize=2048)  # most events of a type have the same verdicts
        def entry_for(verdicts: tuple[RuleVerdict, ...]) -> Entry:
            used = [verdicts[position] for position in positions]
            return make_entry(name, result_of(self._used_rules, used, self._ruleset, {}))

        return lambda event: entry_for(builtin_verdicts(event))

    @property
    def reject_if(self) -> Callable[[Any], None] | None:
        """Rejects an event by its entry `quality`; None without a minimum."""
        return None if self.minimum is None else partial(reject_below, minimum=self.minimum)
