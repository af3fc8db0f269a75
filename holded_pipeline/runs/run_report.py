"""RunReport: what one run did, as text, in a notebook and as JSON."""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import attrs

from holded_pipeline.model.html_tables import html_table
from holded_pipeline.runs.run_plot import plot_run

_REJECTED = "rejected"
_NAME_WIDTH = 32
_LAST_CHECKS = ("enrich.passed", "validate.passed", "replay.passed", "read.passed")
_STORED_IN_TABLES = ("write.inserted", "write.updated")

RunState = Literal["running", "succeeded", "failed", "killed"]


def rejected_by_reason(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The rejections among the counters of a run: `{stage: {reason: number}}`."""
    found: dict[str, dict[str, int]] = {}
    for name, number in counts.items():
        stage, middle, reason = (*name.split(".", 2), "", "")[:3]
        if middle == _REJECTED and reason:
            found.setdefault(stage, {})[reason] = number
    return found


@attrs.frozen(repr=False, hash=False)
class RunReport:
    """What one run did; `print` shows it as a table, a notebook as an HTML table.

    Attributes:
        run_id: of the run; empty if it is not known.
        name: of the pipeline; empty if it has none.
        state: how the run ended; of one that `hp.run` ran `succeeded` or `failed`.
        began_at: when it began; None if it is not known.
        seconds: how long it took; None if it is not known.
        counts: Beam's counters of this library, such as `read.records`; those of several steps with one name are added.
        rejected: the rejections, by stage and reason.
        error: why the run failed; None if it did not.
        result: Beam's own result of the run; None for a run of another process.
    """

    run_id: str
    name: str
    state: RunState
    began_at: datetime | None
    seconds: float | None
    counts: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]] = attrs.field(
        default=attrs.Factory(lambda self: rejected_by_reason(self.counts), takes_self=True)
    )
    error: str | None = None
    result: Any = attrs.field(default=None, eq=False)

    @property
    def records(self) -> int:
        """Records that were read, dead letters that were replayed included."""
        return self._sum("read.records", "replay.records")

    @property
    def passed(self) -> int:
        """Records that passed the last check that the pipeline has."""
        return next((self.counts[name] for name in _LAST_CHECKS if name in self.counts), 0)

    @property
    def inserted(self) -> int:
        """Rows that were new."""
        return self._sum("write.inserted")

    @property
    def updated(self) -> int:
        """Rows that replaced an older one."""
        return self._sum("write.updated")

    @property
    def duplicates(self) -> int:
        """Rows that changed nothing."""
        return self._sum("write.duplicates")

    @property
    def stored(self) -> int:
        """Rows that were inserted or updated; of a pipeline without a table, the events in the objects it wrote."""
        return self._sum(*_STORED_IN_TABLES) if self._has_table else self._sum("write_minio.records")

    @property
    def rejected_total(self) -> int:
        """Rejections of all stages."""
        return sum(number for reasons in self.rejected.values() for number in reasons.values())

    @property
    def dropped(self) -> int:
        """Events that `DropEvents` left out."""
        return self._sum("drop.dropped")

    @property
    def objects(self) -> int:
        """Objects that were written."""
        return self._sum("write_minio.objects", "write_rejected.objects")

    @property
    def rate(self) -> float | None:
        """Records read in a second; None if the time is not known."""
        return self.records / self.seconds if self.seconds else None

    @property
    def is_balanced(self) -> bool | None:
        """Whether the records read are those stored, the duplicates, those rejected and those dropped.

        None if more were accounted for than read, as where an event goes into several tables: counters cannot tell then
        (a ledger can, by object). A pipeline that drops records without a word is not balanced.
        """
        accounted = self.stored + self.duplicates + self.rejected_total + self.dropped + self._sum("replay.parked")
        return None if accounted > self.records else accounted == self.records

    def to_dict(self) -> dict[str, Any]:
        """All of it as a value that JSON can hold, the sums included."""
        return {
            "run_id": self.run_id,
            "name": self.name,
            "state": self.state,
            "began_at": None if self.began_at is None else self.began_at.isoformat(),
            "seconds": self.seconds,
            "records": self.records,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "rejected_total": self.rejected_total,
            "dropped": self.dropped,
            "rate": self.rate,
            "is_balanced": self.is_balanced,
            "counts": dict(self.counts),
            "rejected": {stage: dict(reasons) for stage, reasons in self.rejected.items()},
            "error": self.error,
        }

    def plot(self) -> Any:
        """A `matplotlib.figure.Figure`: what became of the records, and the rejections by stage and reason.

        Raises:
            ConfigurationError: matplotlib is not installed (extra `plot`).
        """
        accounts = {"read": self.records, "stored": self.stored, "duplicates": self.duplicates}
        accounts["rejected"] = self.rejected_total
        if self.dropped:
            accounts["dropped"] = self.dropped
        rejected = {
            f"{stage}: {reason}": number for stage, each in self.rejected.items() for reason, number in each.items()
        }
        return plot_run(self._title(), accounts, rejected)

    def __str__(self) -> str:
        lines = [self._title(), "-" * len(self._title())]
        rows = self._rows()
        width = max(_NAME_WIDTH, *(len(name) + 1 for name, _ in rows))
        lines += [f"{name:<{width}}{value:>12}" for name, value in rows]
        lines.append(self._accounts())
        return "\n".join(lines + ([f"error: {self.error}"] if self.error else []))

    def __repr__(self) -> str:
        return (
            f"<RunReport {self.run_id or self.name or '(no id)'}: {self.state}, {self.records:,} read, "
            f"{self.stored:,} stored, {self.duplicates:,} duplicates, {self.rejected_total:,} rejected>"
        )

    def _repr_html_(self) -> str:
        error = f"<p><b>error:</b> {html.escape(self.error)}</p>" if self.error else ""
        rows = ((name.replace("  ", "\u2003"), value) for name, value in self._rows())
        return html_table(rows, caption=self._title()) + f"<p>{html.escape(self._accounts())}</p>{error}"

    def _title(self) -> str:
        names = " ".join(name for name in (self.name, self.run_id) if name)
        return f"Run {names} {self.state}" if names else f"Run {self.state}"

    def _rows(self) -> list[tuple[str, str]]:
        """The lines of the table: a name and a figure."""
        numbers = [("read", self.records), ("passed all checks", self.passed), ("rejected", self.rejected_total)]
        reasons = [
            (f"  {stage}: {reason}", number)
            for stage, reasons in self.rejected.items()
            for reason, number in reasons.items()
        ]
        numbers += sorted(reasons, key=lambda each: -each[1])
        if self.dropped:
            numbers.append(("dropped", self.dropped))
        if self._has_table:
            numbers += [("inserted", self.inserted), ("updated", self.updated), ("duplicates", self.duplicates)]
        numbers.append(("objects written", self.objects))
        rows = [(name, f"{number:,}") for name, number in numbers]
        if self.seconds is not None:
            rows.append(("seconds", f"{self.seconds:,.1f}"))
        if self.rate is not None:
            rows.append(("events/s", f"{self.rate:,.0f}"))
        return rows

    def _accounts(self) -> str:
        verdict = {True: "yes", False: "NO", None: "counters cannot tell"}[self.is_balanced]
        kept = (
            f"inserted {self.inserted:,} + updated {self.updated:,} + duplicates {self.duplicates:,}"
            if self._has_table
            else f"written {self.stored:,}"
        )
        dropped = f" + dropped {self.dropped:,}" if self.dropped else ""
        return f"read {self.records:,} = {kept} + rejected {self.rejected_total:,}{dropped}: {verdict}"

    @property
    def _has_table(self) -> bool:
        return any(name.startswith("write.") for name in self.counts)

    def _sum(self, *names: str) -> int:
        return sum(self.counts.get(name, 0) for name in names)
