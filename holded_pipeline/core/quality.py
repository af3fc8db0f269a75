"""A quality score that explains itself: rules, each with a reason where an event fails it."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, Literal, get_args

import attrs

from holded_pipeline.core.values import Event

Dimension = Literal["completeness", "validity", "timeliness", "consistency"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)


class Applicability(enum.Enum):
    """What a rule answers where it has nothing to say; an enum, so that it stays one object on every worker."""

    NOT_APPLICABLE = "not applicable"


NOT_APPLICABLE: Final = Applicability.NOT_APPLICABLE
"""A rule's answer for an event that it does not concern: the event's score leaves the rule out."""

Verdict = str | Applicability | None
"""Why an event fails a rule; None if it passes; or `NOT_APPLICABLE`."""


def _positive(_: object, __: object, weight: float) -> None:
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"a rule's weight must be a number above 0, got {weight!r}; leave the rule out instead")


@attrs.frozen
class Rule:
    """One thing that a good event has.

    Attributes:
        id: names the rule in results, e.g. `amount.number`.
        dimension: `completeness`, `validity`, `timeliness` or `consistency`.
        weight: how much it counts beside the others; above 0.
        check: a function `(event) -> Verdict`: why the event fails, None if it passes, or `NOT_APPLICABLE`.
    """

    id: str = attrs.field(validator=attrs.validators.min_len(1))
    dimension: Dimension = attrs.field(validator=attrs.validators.in_(DIMENSIONS))
    weight: float = attrs.field(converter=float, validator=_positive)
    check: Callable[[Event], Verdict] = attrs.field(validator=attrs.validators.is_callable())


def ruleset_of(rules: Sequence[Rule], name: str) -> str:
    """The version of a set of rules: a name, and a digest of each rule's id, dimension and weight.

    Scores of the same version can be compared.
    """
    listed = "\n".join(sorted(f"{rule.id}\t{rule.dimension}\t{rule.weight!r}" for rule in rules))
    return f"{name}+{hashlib.sha256(listed.encode()).hexdigest()[:8]}"


def assess(event: Event, rules: Sequence[Rule], ruleset: str) -> dict[str, Any]:
    """How good an event is, and what it lacks.

    Args:
        event: the event.
        rules: what it is judged by.
        ruleset: the version of the rules, kept with the result.

    Returns:
        `score`: the weighted share of the applicable rules that it passes, 0 to 1, rounded to 4 digits (1 if no
        rule applies); `failed`: every rule it fails, with the reason; `dimensions`: the score in each
        dimension that a rule applied in; `ruleset`.
    """
    passed: dict[str, list[float]] = {}
    applicable: dict[str, list[float]] = {}
    failed = []
    for rule in rules:
        verdict = rule.check(event)
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
    }


def _share(passed: list[float], applicable: list[float]) -> float:
    return round(math.fsum(passed) / math.fsum(applicable), 4) if applicable else 1.0
