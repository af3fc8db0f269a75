"""run_share: one share of a run, in this process. It can be placed by anything that calls a function elsewhere."""

from __future__ import annotations

import logging
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import apache_beam as beam
import attrs
from apache_beam.internal import pickler

from holded_pipeline.model.errors import ConfigurationError, TransientError
from holded_pipeline.runs.share_results import ShareAccounts, ShareAttempt, ShareFailure, ShareOutcome, ShareResult
from holded_pipeline.store.read_plan import ReadPlan
from holded_pipeline.transforms.beam.accounted import LedgerName, ledgers_read
from holded_pipeline.transforms.beam.collected import Collected, collecting
from holded_pipeline.transforms.beam.given_up import expect_share
from holded_pipeline.transforms.beam.live_counts import LiveCounts
from holded_pipeline.transforms.beam.share_of_run import new_attempt, options_of_attempt, settling_of
from holded_pipeline.transforms.run import run

_logger = logging.getLogger("holded_pipeline")
_BEAT_SECONDS: Final = 1.0
_one_at_a_time = threading.Lock()

BuildShare = Callable[[beam.Pipeline, ReadPlan], object]
"""Applies the transforms of one share to a pipeline."""

Beat = Callable[[ShareAttempt, Mapping[str, int]], object]
"""Is called every second while a share runs, with what it has counted so far."""


@attrs.frozen
class ShareTask:
    """One share of a run, as it is sent to a worker.

    Attributes:
        run_id: the run.
        share: the number of the share, from 0.
        of: how many shares the run has.
        plan: what it reads.
        build: the function that builds its pipeline, pickled.
        ledger: the database and the name of the ledger that it is settled in; None without one.
        options: options for Beam.
    """

    run_id: str
    share: int
    of: int
    plan: ReadPlan
    build: bytes = attrs.field(repr=False)
    ledger: LedgerName | None
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"share {self.share + 1} of {self.of} of the run {self.run_id}"


def run_share(task: ShareTask, *, beat: Beat | None = None) -> ShareOutcome:
    """Runs one share in this process, and returns what it did, or why it failed.

    Two shares in one process, as in threads, run one after the other.

    Args:
        task: the share.
        beat: is called while it runs.

    Returns:
        A result when all that came of the share is durable; a failure otherwise. Neither settles anything.
    """
    with _one_at_a_time:
        attempt = new_attempt(task.run_id, task.share)
        expect_share()
        try:
            with collecting(attempt) as collected, _beating(beat, attempt):
                return _run_attempt(task, attempt, collected)
        except Exception as error:  # noqa: BLE001  it is raised again by whoever placed the share
            _logger.warning("%s failed: %s", task, error)
            return ShareFailure(attempt, _picklable(error), isinstance(error, TransientError))


def _run_attempt(task: ShareTask, attempt: ShareAttempt, collected: Collected) -> ShareResult:
    pipeline = beam.Pipeline(runner="FnApiRunner", options=options_of_attempt(attempt, list(task.options)))
    try:
        pickler.loads(task.build)(pipeline, task.plan)
        settles = _check_ledger(pipeline, task.ledger)
    except BaseException:  # Beam removes its folder at the end of a run, and a process of a pool has no other end
        shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)
        raise
    report = run(pipeline, progress=False)
    accounts = attrs.evolve(collected.accounts(), sinks=settles.sinks, places=settles.places) if settles else None
    return ShareResult(attempt, report.counts, accounts, collected.budgets())


def _check_ledger(pipeline: beam.Pipeline, ledger: LedgerName | None) -> ShareAccounts | None:
    """The sinks that the share settles, and their places.

    Raises:
        ConfigurationError: it reads or settles with another ledger than the run, or settles nothing.
    """
    settling = settling_of(pipeline)
    found = ledgers_read(pipeline) | {(each.ledger.db.url, each.ledger.name) for each in settling}
    if ledger is None and found:
        raise ConfigurationError(
            f"the function reads or settles with the ledger {min(found)[1]!r}; give it to the run, too, as ledger=, "
            "since the run is settled when all of its shares are done"
        )
    if ledger is None:
        return None
    if found != {ledger} or not settling:
        raise ConfigurationError(
            f"the run has the ledger {ledger[1]!r}, and the function does not read and settle with it and no other: "
            "let it apply hp.ReadMinIO(lake, units=share, new_only=ledger) and hp.SettleObjects(ledger)"
        )
    return ShareAccounts(sinks=settling[0].sinks, places=settling[0].places)


@contextmanager
def _beating(beat: Beat | None, attempt: ShareAttempt) -> Iterator[None]:
    if beat is None:
        yield
        return
    ended = threading.Event()
    counts = LiveCounts()

    def repeat() -> None:
        while not ended.wait(_BEAT_SECONDS):
            try:
                beat(attempt, counts())
            except Exception as error:  # noqa: BLE001  the next one may succeed
                _logger.debug("the counts of %s could not be sent: %s", attempt.name, error)

    thread = threading.Thread(target=repeat, name="share-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _picklable(error: Exception) -> BaseException:
    """The error, or one with its type and words if it cannot be pickled as a process pool does it: by `pickle`."""
    try:
        copy: Any = pickle.loads(pickle.dumps(error))  # noqa: S301  it was made here
    except Exception:  # noqa: BLE001  whatever its own code raises
        copy = None
    return error if isinstance(copy, type(error)) else RuntimeError(f"{type(error).__name__}: {error}")
