"""What a replay would do, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

PASSES = "passes"
PARKED = "parked"
DROPPED = "dropped"

Refusal = tuple[str, str]
"""A stage and a reason."""

Fate = str | Refusal
"""What becomes of a rejection: `passes`, `parked`, `dropped` (no step gave it back), or a new stage and reason."""


@attrs.frozen
class Forecast:
    """How many open rejections would pass now.

    Attributes:
        by_reason: for each stage and reason for which records stand rejected, how many would meet which fate:
            `passes`, `parked`, `dropped`, or a (stage, reason) for which they would be rejected again.
        broken: how many more break their schema, so that nobody can tell what they are; the log names them.
    """

    by_reason: Mapping[Refusal, Mapping[Fate, int]]
    broken: int = 0

    @classmethod
    def of(cls, counted: Iterable[tuple[Refusal, Fate, int]], broken: int = 0) -> Forecast:
        """The forecast of counts."""
        by_reason: dict[Refusal, dict[Fate, int]] = {}
        for old, fate, count in counted:
            fates = by_reason.setdefault(old, {})
            fates[fate] = fates.get(fate, 0) + count
        return cls({old: by_reason[old] for old in sorted(by_reason)}, broken)

    @property
    def matching(self) -> int:
        """How many open rejections the filters mean."""
        return sum(sum(fates.values()) for fates in self.by_reason.values())

    @property
    def passes(self) -> int:
        """How many of them would pass."""
        return self._with(PASSES)

    @property
    def parked(self) -> int:
        """How many of them would not be tried."""
        return self._with(PARKED)

    def _with(self, fate: Fate) -> int:
        return sum(fates.get(fate, 0) for fates in self.by_reason.values())

    def __str__(self) -> str:
        if not self.matching and not self.broken:
            return "0 of 0 would pass: below the prefix lies no open rejection that the filters mean"
        rows = [("rejected for", "would", "records")]
        for (stage, reason), fates in self.by_reason.items():
            for fate, count in sorted(fates.items(), key=lambda item: (item[0] != PASSES, -item[1], str(item[0]))):
                rows.append((f"{stage}: {reason}", _words(fate), f"{count:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        table = [f"{old:<{widths[0]}}  {fate:<{widths[1]}}  {count:>{widths[2]}}" for old, fate, count in rows]
        left = f"; {self.broken:,} more break their schema and stay in the pile, see the log" if self.broken else ""
        return "\n".join([*table, f"{self.passes:,} of {self.matching:,} would pass{left}"])


def _words(fate: Fate) -> str:
    words = {PASSES: "pass", PARKED: "stay parked", DROPPED: "come out of no step"}
    return words[fate] if isinstance(fate, str) else f"be rejected by {fate[0]}: {fate[1]}"
