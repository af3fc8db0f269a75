"""The result of a forecast: what a replay would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from holded_pipeline.model.html_tables import html_table

REPLAY_PASSES = "passes"
REPLAY_PARKED = "parked"
REPLAY_DROPPED = "dropped"

_HEADER = ("rejected for", "would", "records")

StageAndReason = tuple[str, str]

ReplayOutcome = str | StageAndReason
"""`passes`, `parked`, `dropped` (no step returned it), or the stage and reason for which it would be rejected again."""


@attrs.frozen
class Forecast:
    """How many open rejections would pass now.

    Attributes:
        by_reason: for each stage and reason of the open rejections, how many would have which outcome: `passes`,
            `parked`, `dropped`, or a (stage, reason) for which they would be rejected again.
        broken: how many more break their schema, so that they cannot be replayed; the log names them.
    """

    by_reason: Mapping[StageAndReason, Mapping[ReplayOutcome, int]]
    broken: int = 0

    @classmethod
    def of(cls, counted: Iterable[tuple[StageAndReason, ReplayOutcome, int]], broken: int = 0) -> Forecast:
        """Sums up counts."""
        by_reason: dict[StageAndReason, dict[ReplayOutcome, int]] = {}
        for old, outcome, count in counted:
            outcomes = by_reason.setdefault(old, {})
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        return cls({old: by_reason[old] for old in sorted(by_reason)}, broken)

    @property
    def matching(self) -> int:
        """How many open rejections match the filters."""
        return sum(sum(outcomes.values()) for outcomes in self.by_reason.values())

    @property
    def passes(self) -> int:
        """How many of them would pass."""
        return self._count(REPLAY_PASSES)

    @property
    def parked(self) -> int:
        """How many of them would not be replayed."""
        return self._count(REPLAY_PARKED)

    def _count(self, outcome: ReplayOutcome) -> int:
        return sum(outcomes.get(outcome, 0) for outcomes in self.by_reason.values())

    def __str__(self) -> str:
        if not self.matching and not self.broken:
            return self._sum()
        rows = [_HEADER, *((old, would, f"{count:,}") for old, would, count in self._rows())]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        table = [f"{old:<{widths[0]}}  {outcome:<{widths[1]}}  {count:>{widths[2]}}" for old, outcome, count in rows]
        return "\n".join([*table, self._sum()])

    def _repr_html_(self) -> str:
        return html_table(self._rows(), header=_HEADER, caption=f"Forecast: {self._sum()}")

    def _rows(self) -> list[tuple[str, str, int]]:
        """What they are rejected for, what they would do now, and how many, those that would pass first."""
        return [
            (f"{stage}: {reason}", _describe_outcome(outcome), count)
            for (stage, reason), outcomes in self.by_reason.items()
            for outcome, count in sorted(
                outcomes.items(), key=lambda item: (item[0] != REPLAY_PASSES, -item[1], str(item[0]))
            )
        ]

    def _sum(self) -> str:
        if not self.matching and not self.broken:
            return "0 of 0 would pass: no open rejection below the prefix matches the filters"
        left = f"; {self.broken:,} more break their schema and stay in the store, see the log" if self.broken else ""
        return f"{self.passes:,} of {self.matching:,} would pass{left}"


def _describe_outcome(outcome: ReplayOutcome) -> str:
    words = {REPLAY_PASSES: "pass", REPLAY_PARKED: "stay parked", REPLAY_DROPPED: "be dropped by a step"}
    return words[outcome] if isinstance(outcome, str) else f"be rejected by {outcome[0]}: {outcome[1]}"
