"""RunRecorder: writes the row of one run while it runs, and makes sure that it gets an end."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import attrs
from apache_beam.runners.runner import PipelineState

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.run_arguments import without_secrets
from holded_pipeline.runs.run_report import rejected_by_reason
from holded_pipeline.runs.run_rows import BegunRun, EndedRun, begin_run, end_run, mark_seen
from holded_pipeline.servers.retry import Retry
from holded_pipeline.transforms.beam.counts import counts_of_result
from holded_pipeline.transforms.beam.live_counts import LiveCounts
from holded_pipeline.transforms.beam.run_errors import describe_for_user

_logger = logging.getLogger("holded_pipeline")
_BEAT_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 5.0  # for a process that is being ended


class RunRecorder:
    """Records one run: a thread shows every ten seconds that it is alive.

    Only `begin` raises. What cannot be recorded later is logged, since the run itself is what counts.

    Args:
        db: the database.
        run: the run.
        creates_tables: whether `begin` creates and migrates the tables.
        counts: gives what the run has counted so far; by default what this process has.
    """

    def __init__(
        self,
        db: Postgres,
        run: BegunRun,
        *,
        creates_tables: bool = True,
        counts: Callable[[], dict[str, int]] | None = None,
    ) -> None:
        self._given_counts = counts
        self._db = db
        self._run = run
        self._lock = threading.Lock()
        self._creates_tables = creates_tables
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="record-run", daemon=True)
        self._result: Any = None
        self._restore: Callable[[], None] = lambda: None

    @property
    def has_ended(self) -> bool:
        """Whether the end is recorded, or was tried to be."""
        return self._ended.is_set()

    def begin(self) -> None:
        """Writes the row; raises what `begin_run` raises."""
        begin_run(self._db, self._run, creates_tables=self._creates_tables)
        self._counts = self._given_counts or LiveCounts()
        self._thread.start()
        self._catch_termination()

    def watch(self, result: Any) -> None:
        """Notices the end of a run that nobody waits for."""
        self._result = result

    def fail(self, error: BaseException) -> None:
        """Writes that the run failed, and why."""
        secrets = [] if self._db.password is None else [self._db.password.reveal()]
        counts = self._counts()
        text = without_secrets(describe_for_user(error), secrets)
        # If the run failed since the database is away, it has waited long enough.
        quick = attrs.evolve(self._db, retry=Retry(min(self._db.retry.deadline, 2 * _LAST_SECONDS)))
        self._write(EndedRun("failed", counts, rejected_by_reason(counts), text), quick)

    def end(self, result: Any) -> None:
        """Writes how a run ended that is over."""
        counts = self._counts_of(result)
        is_done = result.state == PipelineState.DONE
        error = None if is_done else f"the run ended in state {result.state}"
        self._write(EndedRun("succeeded" if is_done else "failed", counts, rejected_by_reason(counts), error))

    def succeed(self, counts: dict[str, int]) -> None:
        """Writes that the run succeeded, and what it has counted in all."""
        self._write(EndedRun("succeeded", counts, rejected_by_reason(counts)))

    def _counts_of(self, result: Any) -> dict[str, int]:
        try:
            return counts_of_result(result)
        except Exception as error:  # noqa: BLE001  a runner without metrics, or whose service is gone
            _logger.warning("the runner has no counters of run %s: %s", self._run.run_id, error)
            return self._counts()

    def _write(self, end: EndedRun, db: Postgres | None = None) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
        self._restore()
        try:
            end_run(db or self._db, self._run.run_id, end)
        except Exception as error:  # noqa: BLE001  the run is over, whatever is recorded of it
            _logger.error("the end of run %s (%s) could not be recorded: %s", self._run.run_id, end.state, error)  # noqa: TRY400

    def _beat(self) -> None:
        quick = attrs.evolve(self._db, retry=Retry(_LAST_SECONDS))
        while not self._ended.wait(_BEAT_SECONDS):
            try:
                if self._result is not None and PipelineState.is_terminal(self._result.state):
                    self.end(self._result)
                else:
                    mark_seen(quick, self._run.run_id, self._counts())
            except Exception as error:  # noqa: BLE001  the next one may succeed
                _logger.debug("run %s could not be marked as alive: %s", self._run.run_id, error)

    def _catch_termination(self) -> None:
        """Lets SIGTERM, where nobody handles it, end the process as always, but after the row is written."""
        if threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(signal.SIGTERM)
        earlier = getattr(handler, "__self__", None)
        is_left_over = isinstance(earlier, RunRecorder) and earlier.has_ended
        if handler is not signal.SIG_DFL and not is_left_over:
            return
        signal.signal(signal.SIGTERM, self._terminate)
        self._restore = self._restore_termination

    def _restore_termination(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) == self._terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _terminate(self, number: int, _: FrameType | None) -> None:
        # In a thread, since the main thread may have been stopped anywhere, for example with a lock.
        writing = threading.Thread(target=self._write_terminated, daemon=True)
        writing.start()
        writing.join(2 * _LAST_SECONDS)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _write_terminated(self) -> None:
        counts = self._counts()
        end = EndedRun("failed", counts, rejected_by_reason(counts), "the process was ended by SIGTERM")
        self._write(end, attrs.evolve(self._db, retry=Retry(_LAST_SECONDS)))
