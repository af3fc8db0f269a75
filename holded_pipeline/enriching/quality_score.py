"""What can be read from an event's entry `quality`, and the rejection of events whose score is too low."""

from __future__ import annotations

from typing import Any

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Violation


def validate_minimum(minimum: Any, name: str) -> None:
    """Raises ValueError if `minimum` is not a number from 0 to 1; `name` is the argument's, for the message."""
    if isinstance(minimum, bool) or not isinstance(minimum, int | float) or not 0 <= minimum <= 1:
        raise ValueError(f"{name} is a number from 0 to 1, got {minimum!r}")


def reject_below(quality: Any, minimum: float) -> None:
    """Rejects an event whose entry `quality` has a score below a minimum; without a score it passes.

    Raises:
        RejectRecord: reason `low_quality`; each failed rule is a violation, with the rule's id as keyword.
    """
    score = score_of(quality)
    if score is None or score >= minimum:
        return
    failed = _findings(quality, "failed")
    violations = [Violation("", str(each["rule"]), str(each.get("why"))) for each in failed]
    rules = ", ".join(violation.keyword for violation in violations) or "not listed"
    raise RejectRecord("low_quality", f"its quality is {score:g}, under {minimum:g}; failed rules: {rules}", violations)


def score_of(quality: Any) -> float | None:
    """The score in an event's entry `quality`; None if it has none."""
    score = quality.get("score") if isinstance(quality, dict) else None
    return None if isinstance(score, bool) or not isinstance(score, int | float) else float(score)


def broken_rules(quality: Any) -> list[str]:
    """The ids of the rules in an event's entry `quality` that raised or returned no verdict."""
    return [str(each["rule"]) for each in _findings(quality, "errors")]


def _findings(quality: Any, name: str) -> list[dict[str, Any]]:
    """The entries about single rules; a user's own enricher `quality` may have them in another form, or none."""
    found = quality.get(name) if isinstance(quality, dict) else None
    listed = found if isinstance(found, list) else []
    return [each for each in listed if isinstance(each, dict) and "rule" in each]
