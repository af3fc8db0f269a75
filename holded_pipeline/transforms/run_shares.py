"""run_shares: one run over several processes, placed by anything that works like `map`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.progress import show_progress
from holded_pipeline.runs.run_report import RunReport
from holded_pipeline.runs.share_results import ShareFailure, ShareOutcome
from holded_pipeline.store.read_plan import ReadPlan
from holded_pipeline.transforms.beam.shared_run import SharedRun
from holded_pipeline.transforms.workers.run_share import BuildShare, ShareTask, run_share

_logger = logging.getLogger("holded_pipeline")
WAITING: Final = "waiting for workers"
"""What is shown as long as no share has counted anything."""

MapShares = Callable[[Callable[[ShareTask], ShareOutcome], Sequence[ShareTask]], Iterable[ShareOutcome]]
"""Like `map`: calls a function with each task, anywhere, and gives what it returned, in any order."""


def run_shares(
    build: BuildShare,
    plan: ReadPlan,
    place: MapShares | Any,
    *,
    shares: int,
    ledger: Ledger | None = None,
    retries: int = 3,
    name: str | None = None,
    run_id: str | None = None,
    options: Sequence[str] = (),
    progress: bool | None = None,
) -> RunReport:
    """Runs one plan as several pipelines, each over its share, and settles them as one run.

    Args:
        build: a function `(pipeline, share)` that applies the transforms of one share: it reads with
            `hp.ReadMinIO(lake, units=share)`, with a ledger also with `new_only=ledger`, and then ends with
            `hp.SettleObjects(ledger)`. It is pickled, as what it uses is.
        plan: what is read, by `hp.plan`.
        place: works like `map`: calls a function with each task, anywhere, and gives what it returned, in any order:
            `pool.map` of a process pool, `map` itself in this process.
        shares: into how many shares the plan is divided, at most. Some for each worker: then one that is slow or lost
            delays little.
        ledger: the ledger that `build` reads and settles with. Without one nothing is settled.
        retries: how often a share is tried again that failed since a server did not answer.
        name: of the run in the report and in `hp.runs`; by default that of the ledger.
        run_id: of the run; made from the time and a random part by default.
        options: options for Beam, as on a command line.
        progress: as in `hp.run`.

    Returns:
        One report of all shares.

    Example:
        >>> def load(pipeline, share):
        ...     raw = pipeline | hp.ReadMinIO(lake, units=share, new_only=ledger)
        ...     loaded = raw.passed | hp.WritePostgres(db)
        ...     written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        ...     _ = (loaded, written) | hp.SettleObjects(ledger)
        >>> ledger = hp.Ledger(db, "orders")
        >>> plan = hp.plan(lake, "raw/", new_only=ledger)
        >>> report = hp.run_shares(load, plan, map, shares=2, ledger=ledger)
        >>> report.records, report.stored, report.is_balanced
        (50, 50, True)

    Raises:
        ConfigurationError: `build` cannot be pickled, or reads or settles with another ledger; or something else is
            set up wrong, in the words of the worker.
        TooManyRejectedError: the error budget is exceeded by all shares together.
        UnbalancedError: records are not accounted for, over all shares.
        AlreadySettledError: another run settled the same objects in the meantime.
        TransientError: a server did not answer, after the retries, too.
        TypeError: `build` is no function.

    **Guarantees:** the objects of all shares are settled together, when everything that came of them is durable, or
    none is. Each share counts once, however often it was tried, and at the same time, too: rows of an attempt that was
    killed after its commit are counted as new, and objects with events that no manifest names are only of attempts that
    do not count. Without a ledger such rows are counted as duplicates. In one process shares run one after the other.
    """
    run = SharedRun(build, plan, shares=shares, ledger=ledger, name=name, run_id=run_id, options=tuple(options))
    with run, show_progress(run.live_counts, progress, unseen=WAITING):
        tasks = run.tasks
        for left in range(retries, -1, -1):
            failures = [each for each in map(partial(_failure, run, left), place(run_share, tasks)) if each]
            if not failures:
                break
            tasks = tuple(run.tasks[each.attempt.share] for each in failures)
            _logger.warning("%d shares are tried again: %s", len(tasks), failures[0].error)
        return run.finish()


def _failure(run: SharedRun, retries: int, outcome: ShareOutcome) -> ShareFailure | None:
    """The outcome, if it is a failure after which the share is tried again; any other is added to the run."""
    if retries and isinstance(outcome, ShareFailure) and outcome.is_transient:
        return outcome
    run.add(outcome)
    return None
