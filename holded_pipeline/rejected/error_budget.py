"""How much may be rejected before a run fails: the limits, the counts, and the message when one is exceeded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import attrs

from holded_pipeline.model.stages import STAGES, suggest_stage

ALL_STAGES = "*"
"""The key of the limit for all stages together."""

_LISTED_REASONS = 5
_EXAMPLE_CHARACTERS = 200

Limit = int | float
MaxRejected = Limit | Mapping[str, Limit]


@attrs.define
class Tally:
    """How many records were rejected, by stage and reason, with the first message of each; it holds no record."""

    counts: dict[tuple[str, str], int] = attrs.field(factory=dict)
    examples: dict[tuple[str, str], str] = attrs.field(factory=dict)

    def add(self, stage: str, reason: str, message: str) -> None:
        """Counts one rejection."""
        key = stage, reason
        self.counts[key] = self.counts.get(key, 0) + 1
        if key not in self.examples:
            self.examples[key] = message[:_EXAMPLE_CHARACTERS]

    def merge(self, other: Tally) -> None:
        """Adds the counts of another tally."""
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        self.examples = other.examples | self.examples

    def total(self, stage: str) -> int:
        """How many were rejected at a stage, or in all with `ALL_STAGES`."""
        return sum(count for (counted, _), count in self.counts.items() if stage in (ALL_STAGES, counted))


@attrs.frozen
class ErrorBudget:
    """Limits by stage: an int is a count, a float a share of the records of the run."""

    limits: Mapping[str, Limit]

    @classmethod
    def of(cls, max_rejected: Any) -> ErrorBudget:
        """The budget of a user's `max_rejected`: one limit, or one for each stage.

        Raises:
            ValueError: a limit is negative, NaN, or a share that is not below 1; or its stage looks like a
                misspelt one of `STAGES`.
            TypeError: it is neither an int nor a float, nor a mapping to them.
        """
        limits = dict(max_rejected) if isinstance(max_rejected, Mapping) else {ALL_STAGES: max_rejected}
        if not limits:
            raise ValueError("max_rejected is an empty mapping; name a stage, or omit it")
        for stage, limit in limits.items():
            _validate_limit(stage, limit)
        return cls(limits)

    @property
    def has_shares(self) -> bool:
        """Whether a limit is a share, so that the number of records is needed."""
        return any(isinstance(limit, float) for limit in self.limits.values())

    def breach(self, tally: Tally, records: int | None) -> str | None:
        """The message for the first limit that is exceeded, or None; without `records` only counts are checked."""
        for stage, limit in self.limits.items():
            rejected = tally.total(stage)
            if isinstance(limit, float):
                if records is not None and rejected > Fraction(str(limit)) * records:
                    share = f"{rejected / records:.2%}" if records else "all"
                    return _breach_message(
                        tally, stage, f"{rejected:,} of {records:,} records ({share})", f"{limit:.4g}"
                    )
            elif rejected > limit:
                return _breach_message(tally, stage, _count_records(rejected), f"{limit:,}")
        return None


def _validate_limit(stage: Any, limit: Any) -> None:
    if not isinstance(stage, str) or not stage:
        raise TypeError(
            f"a limit of max_rejected belongs to a stage such as 'validate', or to {ALL_STAGES!r}, got {stage!r}"
        )
    if (meant := suggest_stage(stage)) is not None:
        raise ValueError(
            f"max_rejected has a limit for the stage {stage!r}, which would limit nothing: did you mean {meant!r}? "
            f"The stages are {', '.join(STAGES)}, {ALL_STAGES!r} for all together, and those of rejections that you "
            "make yourself"
        )
    where = "max_rejected" if stage == ALL_STAGES else f"max_rejected of {stage!r}"
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise TypeError(f"{where} must be a count (int) or a share (float), got {limit!r}")
    if math.isnan(limit) or limit < 0:
        raise ValueError(f"{where} must not be negative, got {limit!r}; 0 tolerates none")
    if isinstance(limit, float) and limit >= 1:
        raise ValueError(f"{where} is a float, so a share, and must be below 1, got {limit!r}; write a count as an int")


def _breach_message(tally: Tally, stage: str, figures: str, limit: str) -> str:
    where = "the run" if stage == ALL_STAGES else f"stage {stage!r}"
    reasons = sorted(
        ((count, *key) for key, count in tally.counts.items() if stage in (ALL_STAGES, key[0])),
        key=lambda entry: (-entry[0], entry[1:]),
    )
    head = (
        f"too many rejected in {where}: {figures}, and max_rejected allows {limit}. "
        "They are all in the store; fix the cause, or raise max_rejected, and run again. Most frequent:"
    )
    lines = [head]
    for count, at, reason in reasons[:_LISTED_REASONS]:
        lines.append(f"  {count:,} x {at}: {reason}, e.g. {tally.examples[at, reason]}")
    if len(reasons) > _LISTED_REASONS:
        lines.append(f"  and {len(reasons) - _LISTED_REASONS} other reasons")
    return "\n".join(lines)


def _count_records(count: int) -> str:
    return f"{count:,} record" if count == 1 else f"{count:,} records"
