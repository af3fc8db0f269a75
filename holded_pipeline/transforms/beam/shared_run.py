"""SharedRun: a run whose shares are run elsewhere; it knows its tasks, adds up their results, and settles."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

import attrs
from apache_beam.internal import pickler

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.progress import PLANNED_UNITS, READ_UNITS
from holded_pipeline.runs.run_report import RunReport
from holded_pipeline.runs.share_results import (
    ShareFailure,
    ShareOutcome,
    ShareResult,
    add_up_accounts,
    add_up_counts,
    check_budgets,
)
from holded_pipeline.runs.shared_settlement import (
    SharedSettlement,
    earlier_loads,
    with_earlier_accounts,
    with_earlier_counts,
)
from holded_pipeline.store.read_plan import ReadPlan
from holded_pipeline.transforms.beam.pickling import check_picklable
from holded_pipeline.transforms.beam.recorded_runs import begun_run
from holded_pipeline.transforms.beam.run_id import new_run_id
from holded_pipeline.transforms.beam.run_recorder import RunRecorder
from holded_pipeline.transforms.workers.run_share import BuildShare, ShareTask

_logger = logging.getLogger("holded_pipeline")
_ADVICE = "Let it use what can be pickled, such as hp.MinIO, hp.Postgres and hp.Ledger, and make the rest itself"


class SharedRun:
    """One run of several shares; used in a `with` block, which records it.

    Args:
        build: builds the pipeline of a share.
        plan: what is read.
        shares: into how many shares it is divided, at most.
        ledger: the ledger that `build` reads and settles with; None without one.
        name: of the run in records and reports.
        run_id: of the run; None makes one.
        options: options for Beam.
    """

    def __init__(
        self,
        build: BuildShare,
        plan: ReadPlan,
        *,
        shares: int,
        ledger: Ledger | None,
        name: str | None,
        run_id: str | None,
        options: tuple[str, ...],
    ) -> None:
        if not callable(build):
            raise TypeError(f"build must be a function (pipeline, share) that applies transforms, got {build!r}")
        check_picklable(build, f"the function {getattr(build, '__name__', build)!r}", _ADVICE)
        self.run_id = run_id or new_run_id()
        self.name = name or (ledger.name if ledger else "")
        self._plan = plan
        self._ledger = ledger
        self._results: dict[int, ShareResult] = {}
        self._live: dict[int, Mapping[str, int]] = {}
        parts = [
            attrs.evolve(part, is_settled_with_others=True) for part in plan.shares(shares) if part.units or part.empty
        ]
        pickled = pickler.dumps(build)
        names = None if ledger is None else (ledger.db.url, ledger.name)
        self.tasks = tuple(
            ShareTask(self.run_id, number, len(parts), part, pickled, names, options)
            for number, part in enumerate(parts)
        )

    def __enter__(self) -> Self:
        self._began, self._began_at = time.monotonic(), datetime.now(UTC)
        self._recorder: RunRecorder | None = None
        if self._ledger is not None:
            SharedSettlement(self._ledger, self.run_id).begin()
            arguments = {"shares": len(self.tasks), "plan": repr(self._plan)}
            begun = begun_run(self._ledger.db, self.run_id, self.name, arguments)
            self._recorder = RunRecorder(
                self._ledger.db, begun, creates_tables=self._ledger.migrate, counts=self.live_counts
            )
            self._recorder.begin()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None and self._recorder is not None:
            self._recorder.fail(error)

    def see_counts(self, share: int, counts: Mapping[str, int]) -> None:
        """Notes what an attempt at a share has counted so far."""
        self._live[share] = counts

    def live_counts(self) -> dict[str, int]:
        """What all shares have counted so far."""
        total: dict[str, int] = {}
        for counts in list(self._live.values()):
            for name, number in counts.items():
                total[name] = total.get(name, 0) + number
        return total | {PLANNED_UNITS: len(self._plan.units)}

    def is_done(self, share: int) -> bool:
        """Whether there is a result of a share."""
        return share in self._results

    def add(self, outcome: ShareOutcome) -> None:
        """Adds the result of a share; of several of one share the first counts.

        Raises:
            TooManyRejectedError: an error budget is exceeded by the shares that are done.
            BaseException: the error of a failure.
        """
        if isinstance(outcome, ShareFailure):
            raise with_share(outcome.error, self.tasks[outcome.attempt.share])
        share = outcome.attempt.share
        if not self.is_done(share):
            self._results[share] = outcome
            self.see_counts(share, {**outcome.counts, READ_UNITS: len(self.tasks[share].plan.units)})
            check_budgets(self._results.values(), is_complete=False)

    def finish(self) -> RunReport:
        """Checks what all shares did together, settles, and reports.

        Raises:
            HoldedPipelineError: a budget is exceeded, or the run cannot be settled.
        """
        missing = [str(task) for task in self.tasks if not self.is_done(task.share)]
        if missing:
            raise ConfigurationError(
                f"{len(missing)} of {len(self.tasks)} shares have no result, {missing[0]} among them, so nothing is "
                "settled; what places the shares must return the result of each"
            )
        results = list(self._results.values())
        check_budgets(results, is_complete=True)
        counts = add_up_counts(results)
        if self._ledger is not None:
            counts = self._settle(self._ledger, results, counts)
        if self._recorder is not None:
            self._recorder.succeed(counts)
        seconds = time.monotonic() - self._began
        return RunReport(self.run_id, self.name, "succeeded", self._began_at, seconds, counts)

    def _settle(self, ledger: Ledger, results: list[ShareResult], counts: dict[str, int]) -> dict[str, int]:
        loads = earlier_loads(ledger.db, self.run_id, [result.attempt.name for result in results])
        accounts = add_up_accounts(result.accounts for result in results if result.accounts is not None)
        settled = SharedSettlement(ledger, self.run_id).settle(with_earlier_accounts(accounts, loads))
        _logger.info(
            "settled %d objects with %d records of %d shares in the ledger %r",
            settled.objects,
            settled.records,
            len(results),
            ledger.name,
        )
        return with_earlier_counts(counts, loads)


def with_share(error: BaseException, task: ShareTask) -> BaseException:
    """The error, with a note that says in which share it was raised."""
    error.add_note(f"in {task}")
    return error
