"""A quality score that explains itself: rules, each with a reason where an event fails it."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, Literal, get_args

import attrs

from holded_pipeline.enriching.checks import usable_text
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Violation
from holded_pipeline.user_code.errors import describe_error, run_failure, truncated
from holded_pipeline.user_code.in_hand import IN_HAND

Dimension = Literal["completeness", "validity", "timeliness", "consistency"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)


class Applicability(enum.Enum):
    """What a rule answers where it has nothing to say; an enum, so that it stays one object on every worker."""

    NOT_APPLICABLE = "not applicable"


NOT_APPLICABLE: Final = Applicability.NOT_APPLICABLE
"""A rule's answer for an event that it does not concern: the event's score leaves the rule out."""

RuleVerdict = str | Applicability | None
"""Why an event fails a rule; None if it passes; or `NOT_APPLICABLE`."""


_HEAVIEST = 1_000_000  # so that a score is never made from numbers that run out of a float


def _weight(_: object, __: object, weight: Any) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= _HEAVIEST:
        raise ValueError(
            f"a rule's weight is a number above 0 and up to {_HEAVIEST:,}, got {weight!r}; to drop a rule leave it out"
        )


def _dimension(_: object, __: object, dimension: Any) -> None:
    if dimension not in DIMENSIONS:
        raise ValueError(f"a rule's dimension is one of {', '.join(DIMENSIONS)}, got {dimension!r}")


def _usable_id(_: object, __: object, name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a rule's id is a text such as amount.number, got {name!r}")


@attrs.frozen
class QualityRule:
    """One thing that a good event has.

    Attributes:
        id: names the rule in results, e.g. `amount.number`.
        dimension: `completeness`, `validity`, `timeliness` or `consistency`.
        weight: how much it counts beside the others; above 0 and up to 1,000,000.
        check: a function `(event) -> Verdict`: why the event fails, None if it passes, or `NOT_APPLICABLE`. The
            event it is given cannot be changed.
        version: of the check; raise it when the check changes, so that its scores are told from those before.
        plugin: what brought the rule, told where it fails; set when a plugin registers it.
    """

    id: str = attrs.field(validator=[_usable_id, usable_text])
    dimension: Dimension = attrs.field(validator=_dimension)
    weight: float = attrs.field(validator=_weight)
    check: Callable[[Event], RuleVerdict] = attrs.field(validator=attrs.validators.is_callable())
    version: str | None = attrs.field(default=None, kw_only=True, validator=attrs.validators.optional(usable_text))
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
    """How good an event is, and what it lacks.

    Args:
        event: the event.
        rules: what it is judged by.
        ruleset: the version of the rules, kept with the result.

    Returns:
        `score`: the weighted share of the applicable rules that it passes, 0 to 1, rounded to 4 digits (1 if no
        rule applies); `failed`: every rule it fails, with the reason; `dimensions`: the score in each
        dimension that a rule applied in; `ruleset`. If a rule raised or answered what is no verdict, also
        `errors`: each such rule with its plugin and what happened; the score leaves these rules out.

    Raises:
        TransientError, ConfigurationError, EnricherError: a rule met an outage; the message names it.
    """
    passed: dict[str, list[float]] = {}
    applicable: dict[str, list[float]] = {}
    failed: list[dict[str, str]] = []
    errors: list[dict[str, str | None]] = []
    for rule in rules:
        try:
            verdict = _verdict(rule, event)
        except _BrokenRuleError as error:
            errors.append({"rule": rule.id, "plugin": rule.plugin, "error": str(error)})
            continue
        if verdict is NOT_APPLICABLE:
            continue
        applicable.setdefault(rule.dimension, []).append(rule.weight)
        if verdict is None:
            passed.setdefault(rule.dimension, []).append(rule.weight)
        else:
            failed.append({"rule": rule.id, "dimension": rule.dimension, "why": verdict})
    return {
        "score": _share([*chain.from_iterable(passed.values())], [*chain.from_iterable(applicable.values())]),
        "failed": failed,
        "dimensions": {
            name: _share(passed.get(name, []), applicable[name]) for name in DIMENSIONS if name in applicable
        },
        "ruleset": ruleset,
        **({"errors": errors} if errors else {}),
    }


class _BrokenRuleError(Exception):
    """A rule that has no verdict, by its own fault."""


def _verdict(rule: QualityRule, event: Event) -> RuleVerdict:
    noted = IN_HAND.set(rule)
    try:
        verdict = rule.check(event)
    except RejectRecord as error:
        raise _BrokenRuleError(f"{describe_error(error)}; a rule says why, it does not reject") from error
    except KeyboardInterrupt:  # the user's own wish
        raise
    except BaseException as error:
        failure = run_failure(error, (), str(rule))
        if failure is not None:
            raise failure from error
        raise _BrokenRuleError(describe_error(error)) from error
    finally:
        IN_HAND.reset(noted)
    if verdict is None or verdict is NOT_APPLICABLE:
        return verdict
    if isinstance(verdict, str) and not verdict.strip():
        raise _BrokenRuleError("it answered an empty text; a rule says why the event fails it, or None if it passes")
    if not isinstance(verdict, str):
        raise _BrokenRuleError(
            f"it answered {type(verdict).__name__}; a rule answers why the event fails it (a text), None if the event "
            "passes, or hp.NOT_APPLICABLE"
        )
    return truncated(verdict)


def refuse_below(quality: Any, minimum: float) -> None:
    """Refuses an event whose entry `quality` has a score under a minimum; without a score it passes.

    Raises:
        RejectRecord: reason `low_quality`; each failed rule is a violation, its id the keyword.
    """
    score = score_of(quality)
    if score is None or score >= minimum:
        return
    failed = _findings(quality, "failed")
    violations = [Violation("", str(each["rule"]), str(each.get("why"))) for each in failed]
    rules = ", ".join(violation.keyword for violation in violations) or "none it names"
    raise RejectRecord("low_quality", f"its quality is {score:g}, under {minimum:g}; failed rules: {rules}", violations)


def score_of(quality: Any) -> float | None:
    """The score in an event's entry `quality`; None where there is none."""
    score = quality.get("score") if isinstance(quality, dict) else None
    return None if isinstance(score, bool) or not isinstance(score, int | float) else float(score)


def broken_rules(quality: Any) -> list[str]:
    """The ids of the rules that had no verdict, by their own fault, of an event's entry `quality`."""
    return [str(each["rule"]) for each in _findings(quality, "errors")]


def _findings(quality: Any, name: str) -> list[dict[str, Any]]:
    """What is said of single rules; an enricher `quality` of somebody's own may say it in another form, or not."""
    found = quality.get(name) if isinstance(quality, dict) else None
    listed = found if isinstance(found, list) else []
    return [each for each in listed if isinstance(each, dict) and "rule" in each]


def _share(passed: list[float], applicable: list[float]) -> float:
    return round(math.fsum(passed) / math.fsum(applicable), 4) if applicable else 1.0
