"""RunLoop: runs one after the other, while a lease is held; waits longer after runs that failed."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

import attrs

from holded_pipeline.model.errors import ConfigurationError, LeaseLostError, TransientError
from holded_pipeline.runs.lease import Lease
from holded_pipeline.runs.run_report import RunReport

_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 300.0
_logger = logging.getLogger("holded_pipeline")


@attrs.frozen
class RunsSummary:
    """What a loop of runs did.

    Attributes:
        succeeded: runs that succeeded.
        failed: runs that failed.
        records: records that the runs read which succeeded.
        stored: rows, or events in objects, that those stored.
        rejected: records that those rejected.
        last_error: of the last run, if it failed; None if it succeeded.
        last_exception: the error itself.
        ended_because: `stopped`, `max_runs`, or `not held` if another process had the lease for too long.
    """

    succeeded: int = 0
    failed: int = 0
    records: int = 0
    stored: int = 0
    rejected: int = 0
    last_error: str | None = None
    last_exception: Exception | None = attrs.field(default=None, eq=False, repr=False, kw_only=True)
    ended_because: str = "stopped"

    def add(self, report: RunReport, error: Exception | None = None) -> RunsSummary:
        """The summary with one run more, and the error by which it failed."""
        if report.state == "failed":
            return attrs.evolve(self, failed=self.failed + 1, last_error=report.error, last_exception=error)
        return attrs.evolve(
            self,
            succeeded=self.succeeded + 1,
            records=self.records + report.records,
            stored=self.stored + report.stored,
            rejected=self.rejected + report.rejected_total,
            last_error=None,
            last_exception=None,
        )


class RunObserver(Protocol):
    """What each run is reported to, and the lease."""

    def observe(self, report: RunReport) -> None:
        """Takes the report of a run that ended."""

    def observe_lease(self, lease: Lease) -> None:
        """Takes the lease that the loop uses."""


@attrs.define
class RunLoop:
    """Runs again and again; see `run_every`.

    Attributes:
        run: runs once, and returns the report; raises what made the run fail.
        lease: that is held while runs are made.
        every: seconds from the begin of a run to that of the next.
        stop: ends the loop after the run that is going on.
        max_runs: ends it after so many runs.
        lease_wait: seconds to wait for the lease.
        observers: are given each report.
        failed_run_id: gives the id of the run that failed; empty if it has none.
    """

    run: Callable[[], RunReport]
    lease: Lease
    every: float
    stop: threading.Event
    max_runs: float = math.inf
    lease_wait: float = math.inf
    observers: tuple[RunObserver, ...] = ()
    failed_run_id: Callable[[], str] = str
    summary: RunsSummary = attrs.field(factory=RunsSummary, init=False)
    _failed_in_a_row: int = attrs.field(default=0, init=False)

    def __call__(self) -> RunsSummary:
        """Runs until it is stopped; returns what was done."""
        for observer in self.observers:
            observer.observe_lease(self.lease)
        try:
            while not self.stop.is_set():
                if not self._acquire():
                    return self._ended("stopped" if self.stop.is_set() else "not held")
                began = time.monotonic()
                self._run_once()
                if self.summary.succeeded + self.summary.failed >= self.max_runs:
                    return self._ended("max_runs")
                self.stop.wait(self._wait_seconds(began))
            return self._ended("stopped")
        finally:
            self.lease.release()

    def _acquire(self) -> bool:
        """Makes sure that the lease is held; a database that does not answer is waited for."""
        while not self.stop.is_set():
            try:
                if self.lease.is_acquired:
                    self.lease.renew()
                elif not self.lease.acquire(self.lease_wait, self.stop):
                    return False
                if self.lease.is_held:  # the process may have been stopped right after the answer
                    return True
            except LeaseLostError as error:
                _logger.warning("%s; waiting for it", error)
            except (TransientError, ConfigurationError) as error:
                # Later, what is wrong with the database may be put right while this runs.
                is_wrong = isinstance(error, ConfigurationError) and not self.summary.succeeded
                if is_wrong or not math.isinf(self.lease_wait):
                    raise
                _logger.warning("%s", error)
                self.stop.wait(_jittered(self.lease.seconds / 3))
        return False

    def _run_once(self) -> None:
        began, began_at = time.monotonic(), datetime.now(UTC)
        failure: Exception | None = None
        try:
            report = self.run()
        except Exception as error:
            # Before the first success, what is set up wrong is said at once; later it may be changed while this runs.
            if not self.summary.succeeded and not isinstance(error, TransientError) and _is_wrong_from_the_start(error):
                raise
            failure = error
            seconds = time.monotonic() - began
            text = f"{type(error).__name__}: {error}"
            report = RunReport(self.failed_run_id(), self.lease.name, "failed", began_at, seconds, {}, error=text)
            _logger.debug("the run failed", exc_info=error)
        self.summary = self.summary.add(report, failure)
        self._failed_in_a_row = self._failed_in_a_row + 1 if report.state == "failed" else 0
        _log(report)
        for observer in self.observers:
            observer.observe(report)

    def _wait_seconds(self, began: float) -> float:
        """Until the next run: the rest of `every`, or after a failure a time that doubles, with jitter."""
        if not self._failed_in_a_row:
            return max(0.0, began + self.every - time.monotonic())
        doubled = _FIRST_WAIT * 2.0 ** min(self._failed_in_a_row - 1, 30)
        wait = _jittered(min(doubled, max(self.every, _LONGEST_WAIT)))
        _logger.warning("%d runs failed in a row; the next begins in %.0f s", self._failed_in_a_row, wait)
        return wait

    def _ended(self, because: str) -> RunsSummary:
        self.summary = attrs.evolve(self.summary, ended_because=because)
        return self.summary


def _is_wrong_from_the_start(error: Exception) -> bool:
    return isinstance(error, ConfigurationError | TypeError | NameError | AttributeError | ImportError)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311  spreads retries, keeps no secret


def _log(report: RunReport) -> None:
    seconds = report.seconds or 0.0
    if report.state == "failed":
        in_one_line = " ".join((report.error or "").split())
        _logger.error("%s: run failed after %.1f s: %s", report.name, seconds, in_one_line)
        return
    _logger.info(
        "%s: run %s succeeded in %.1f s: %d read, %d stored, %d duplicates, %d rejected",
        report.name,
        report.run_id,
        seconds,
        report.records,
        report.stored,
        report.duplicates,
        report.rejected_total,
    )
