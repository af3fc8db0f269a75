"""A quality score with its reasons: rules, and why an event fails each of them."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Literal, get_args

import attrs

from holded_pipeline.enriching.checks import validate_text
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.user_code.errors import describe_error, run_failure, truncated

Dimension = Literal["completeness", "validity", "timeliness", "consistency"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)


class Applicability(enum.Enum):
    """A rule's verdict on an event that it does not concern; an enum member stays the same object when unpickled."""

    NOT_APPLICABLE = "not applicable"

    __hash__ = object.__hash__  # that of Enum is written in Python, and verdicts are hashed for each event


NOT_APPLICABLE: Final = Applicability.NOT_APPLICABLE
"""A rule's verdict on an event that it does not concern: the score ignores the rule."""

RuleVerdict = str | Applicability | None
"""Why an event fails a rule; None if it passes; or `NOT_APPLICABLE`."""


_MAX_WEIGHT = 1_000_000  # so that sums of weights stay exact enough in a float


def _validate_weight(_: object, __: object, weight: Any) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= _MAX_WEIGHT:
        raise ValueError(
            f"a rule's weight is a number above 0 and up to {_MAX_WEIGHT:,}, got {weight!r}; to drop a rule, omit it"
        )


def _validate_dimension(_: object, __: object, dimension: Any) -> None:
    if dimension not in DIMENSIONS:
        raise ValueError(f"a rule's dimension is one of {', '.join(DIMENSIONS)}, got {dimension!r}")


def _validate_id(_: object, __: object, name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a rule's id is a text such as amount.number, got {name!r}")


@attrs.frozen
class QualityRule:
    """A check of one property that a good event has.

    Attributes:
        id: names the rule in results, e.g. `amount.number`.
        dimension: `completeness`, `validity`, `timeliness` or `consistency`.
        weight: how much it counts in the score, relative to the others; above 0 and up to 1,000,000.
        check: a function `(event) -> RuleVerdict`: why the event fails, None if it passes, or `NOT_APPLICABLE`. The
            event passed to it is read-only.
        version: of the check; raise it when the check changes, so that its scores can be distinguished from older ones.
        plugin: the plugin that registered the rule, named in messages; set by the registry.

    Raises:
        ValueError, TypeError: an argument cannot be used; the message says which and why.
    """

    id: str = attrs.field(validator=[_validate_id, validate_text])
    dimension: Dimension = attrs.field(validator=_validate_dimension)
    weight: float = attrs.field(validator=_validate_weight)
    check: Callable[[Event], RuleVerdict] = attrs.field(validator=attrs.validators.is_callable())
    version: str | None = attrs.field(default=None, kw_only=True, validator=attrs.validators.optional(validate_text))
    plugin: str | None = attrs.field(default=None, kw_only=True, eq=False)

    def __str__(self) -> str:
        return f"the quality rule {self.id}" + ("" if self.plugin is None else f" of the plugin {self.plugin}")


def ruleset_of(rules: Sequence[QualityRule], name: str) -> str:
    """The version of a set of rules: a name, and a digest of each rule's id, dimension, weight and version.

    Scores of the same version can be compared.
    """
    listed = "\n".join(sorted(map(_identity, rules)))
    return f"{name}+{hashlib.sha256(listed.encode()).hexdigest()[:8]}"


def _identity(rule: QualityRule) -> str:
    identity = f"{rule.id}\t{rule.dimension}\t{float(rule.weight)!r}"
    return identity if rule.version is None else f"{identity}\t{rule.version}"


def assess(event: Event, rules: Sequence[QualityRule], ruleset: str) -> dict[str, Any]:
    """Scores an event by rules.

    Args:
        event: the event.
        rules: what it is scored by.
        ruleset: the version of the rules, kept with the result.

    Returns:
        `score`: the weighted share of the applicable rules that it passes, 0 to 1, rounded to 4 digits (1 if no
        rule applies); `failed`: every rule it fails, with the reason; `dimensions`: the score in each
        dimension that a rule applied in; `ruleset`. If a rule raised or returned no verdict, also `errors`: each
        such rule with its plugin and what happened; the score ignores these rules.

    Raises:
        TransientError, ConfigurationError, EnricherError: a rule met an outage; the message names it.
    """
    verdicts: list[RuleVerdict] = []
    errors: dict[int, str] = {}
    for position, rule in enumerate(rules):
        try:
            verdicts.append(_ask_rule(rule, event))
        except _BrokenRuleError as error:
            verdicts.append(NOT_APPLICABLE)
            errors[position] = str(error)
    return result_of(rules, verdicts, ruleset, errors)


def result_of(
    rules: Sequence[QualityRule], verdicts: Sequence[RuleVerdict], ruleset: str, errors: Mapping[int, str]
) -> dict[str, Any]:
    """What `assess` returns for the verdicts of the rules; `errors` has, by position, those of the broken ones."""
    passed: dict[str, list[float]] = {}
    applicable: dict[str, list[float]] = {}
    failed: list[dict[str, str]] = []
    for rule, verdict in zip(rules, verdicts, strict=True):
        if isinstance(verdict, Applicability):
            continue
        applicable.setdefault(rule.dimension, []).append(rule.weight)
        if verdict is None:
            passed.setdefault(rule.dimension, []).append(rule.weight)
        else:
            failed.append({"rule": rule.id, "dimension": rule.dimension, "why": verdict})
    result: dict[str, Any] = {
        "score": _weighted_share([*chain.from_iterable(passed.values())], [*chain.from_iterable(applicable.values())]),
        "failed": failed,
        "dimensions": {
            name: _weighted_share(passed.get(name, []), applicable[name]) for name in DIMENSIONS if name in applicable
        },
        "ruleset": ruleset,
    }
    if errors:
        result["errors"] = [
            {"rule": rules[position].id, "plugin": rules[position].plugin, "error": error}
            for position, error in errors.items()
        ]
    return result


class _BrokenRuleError(Exception):
    """A rule raised, or returned no verdict."""


def _ask_rule(rule: QualityRule, event: Event) -> RuleVerdict:
    try:
        verdict = rule.check(event)
    except RejectRecord as error:
        raise _BrokenRuleError(
            f"{describe_error(error)}; a rule returns why the event fails, it does not reject"
        ) from error
    except KeyboardInterrupt:  # the user's own wish
        raise
    except BaseException as error:
        failure = run_failure(error, (), str(rule))
        if failure is not None:
            raise failure from error
        raise _BrokenRuleError(describe_error(error)) from error
    if verdict is None or verdict is NOT_APPLICABLE:
        return verdict
    if isinstance(verdict, str) and not verdict.strip():
        raise _BrokenRuleError("it returned an empty text; a rule returns why the event fails it, or None if it passes")
    if not isinstance(verdict, str):
        raise _BrokenRuleError(
            f"it returned {type(verdict).__name__}; a rule returns why the event fails it (a text), None if the event "
            "passes, or hp.NOT_APPLICABLE"
        )
    return truncated(verdict)


def _weighted_share(passed: list[float], applicable: list[float]) -> float:
    return round(math.fsum(passed) / math.fsum(applicable), 4) if applicable else 1.0
