"""run_on_dask: one run over the workers of a Dask cluster. The only file that knows Dask."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from holded_pipeline.model.errors import ConfigurationError, TransientError
from holded_pipeline.model.install_lines import install_line
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.progress import show_progress
from holded_pipeline.runs.run_report import RunReport
from holded_pipeline.runs.share_results import ShareAttempt, ShareFailure, ShareOutcome
from holded_pipeline.store.read_plan import ReadPlan
from holded_pipeline.transforms.beam.given_up import give_up_share
from holded_pipeline.transforms.beam.shared_run import SharedRun, with_share
from holded_pipeline.transforms.run_shares import WAITING
from holded_pipeline.transforms.workers.run_share import BuildShare, ShareTask, run_share

_logger = logging.getLogger("holded_pipeline")
_TOPIC: Final = "holded-pipeline"  # one for all runs: the scheduler keeps the last events of each topic for ever
_SHARES_PER_WORKER: Final = 4
_GIVEN_UP: Final = {"cancelled", None}


def run_on_dask(
    client: Any,
    build: BuildShare,
    plan: ReadPlan,
    *,
    shares: int | None = None,
    ledger: Ledger | None = None,
    retries: int = 3,
    name: str | None = None,
    run_id: str | None = None,
    options: Sequence[str] = (),
    progress: bool | None = None,
) -> RunReport:
    """Runs one plan on a Dask cluster: a task for each share, settled as one run.

    The workers need this library, what `build` imports, and the environment variables of its secrets. A share takes
    all of a process, so start workers with one thread each.

    Args:
        client: a `distributed.Client`, connected to the cluster; not an asynchronous one.
        build: a function `(pipeline, share)` that applies the transforms of one share; see `run_shares`.
        plan: what is read, by `hp.plan`.
        shares: into how many shares the plan is divided, at most; by default four for each worker that is there.
        ledger: the ledger that `build` reads and settles with. Without one nothing is settled.
        retries: how often a share is tried again that failed since a server did not answer. How often after its worker
            was lost is Dask's setting `distributed.scheduler.allowed-failures`.
        name: of the run in the report and in `hp.runs`; by default that of the ledger.
        run_id: of the run; made from the time and a random part by default.
        options: options for Beam, as on a command line.
        progress: as in `hp.run`; the figures are those of all workers.

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
        >>> from distributed import Client
        >>> with Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        ...     report = hp.run_on_dask(client, load, plan, ledger=ledger)
        >>> report.stored, report.is_balanced
        (50, True)

    Raises:
        ConfigurationError: Dask is not installed (extra `dask`); or as `run_shares`. The other shares are cancelled.
        TransientError: a server did not answer, after the retries, too; the workers of a share were lost again and
            again; or the scheduler is gone.
        TooManyRejectedError, UnbalancedError, AlreadySettledError: as `run_shares`.
        TypeError: `build` is no function, or `client` no client.

    **Guarantees:** as `run_shares`. A share whose worker is lost, or from which the scheduler hears nothing more, goes
    to another worker; if the first one still runs, it ends before its next part, and is not counted. If the client or
    the scheduler is lost, nothing is settled: a new run reads the same objects again and stores nothing twice.
    """
    distributed = _import_dask()
    if not isinstance(client, distributed.Client) or client.asynchronous:
        raise TypeError(f"client must be a distributed.Client that is not asynchronous, got {client!r}")
    if shares is None:
        shares = _SHARES_PER_WORKER * max(1, len(client.nthreads()))
    _warn_of_threads(client)
    run = SharedRun(build, plan, shares=shares, ledger=ledger, name=name, run_id=run_id, options=tuple(options))
    with run, _listening(client, run), show_progress(run.live_counts, progress, unseen=WAITING):
        _run_tasks(client, run, retries)
        return run.finish()


def _import_dask() -> Any:
    try:
        import distributed  # noqa: PLC0415  optional
    except ImportError as error:
        raise ConfigurationError(
            f"run_on_dask needs Dask, which cannot be imported: {error}. Run: {install_line('dask')}"
        ) from error
    return distributed


def _warn_of_threads(client: Any) -> None:
    crowded = {address: threads for address, threads in client.nthreads().items() if threads > 1}
    if crowded:
        _logger.warning(
            "%d Dask workers have several threads, such as %s, where shares wait for each other; start one worker with "
            "one thread for each core (dask worker --nworkers N --nthreads 1)",
            len(crowded),
            next(iter(crowded)),
        )


def _run_tasks(client: Any, run: SharedRun, retries: int) -> None:
    """Submits the shares and adds their results; if one fails for good, the others are cancelled."""
    distributed = _import_dask()
    start = secrets.token_hex(4)  # a run with the same id gets no result of an earlier start from the cluster
    futures = {
        client.submit(
            run_task, task, key=f"holded-{task.run_id}-{start}-{task.share}", pure=False, retries=retries
        ): task
        for task in run.tasks
    }
    try:
        for future in distributed.as_completed(futures):
            run.add(_outcome_of(future, futures[future]))
            future.release()  # the cluster need not keep it
    except BaseException:
        with suppress(Exception):  # the scheduler may be gone
            client.cancel(list(futures), force=True)
        raise


def _outcome_of(future: Any, task: ShareTask) -> ShareOutcome:
    """The result of a task.

    Raises:
        TransientError: the worker was lost too often, or the scheduler is gone.
        BaseException: the error of the task.
    """
    if future.status == "finished":
        outcome: ShareOutcome = future.result()
        return outcome
    if future.status != "error":
        raise TransientError(
            f"the Dask scheduler has lost {task}, or is gone itself ({future.status}), so nothing is settled; what was "
            "stored is kept. See the scheduler's log, and run again"
        )
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        raise TransientError(
            f"{task} was lost with its worker {error.allowed_failures + 1} times, at last with "
            f"{error.last_worker.address}, so nothing is settled; what was stored is kept. See the worker's log, for "
            "example for its memory, and run again"
        ) from error
    raise with_share(error, task)


def run_task(task: ShareTask) -> ShareOutcome:
    """What a worker of Dask runs: a share; a failure that may pass is raised, so that Dask tries again.

    Raises:
        TransientError: a server did not answer.
    """
    worker = _import_dask().get_worker()
    key = worker.get_current_task()

    def beat(attempt: ShareAttempt, counts: Mapping[str, int]) -> None:
        worker.log_event(_TOPIC, {"run_id": attempt.run_id, "share": attempt.share, "counts": dict(counts)})
        known = worker.state.tasks.get(key)
        if getattr(known, "state", None) in _GIVEN_UP or worker.status.name not in {"running", "paused"}:
            give_up_share()

    outcome = run_share(task, beat=beat)
    if isinstance(outcome, ShareFailure) and outcome.is_transient:
        raise outcome.error
    return outcome


@contextmanager
def _listening(client: Any, run: SharedRun) -> Iterator[None]:
    """Lets the run see the counts that its workers send."""

    def see(event: tuple[Any, Any]) -> None:
        sent = event[1]
        if sent["run_id"] == run.run_id and not run.is_done(sent["share"]):
            run.see_counts(sent["share"], sent["counts"])

    client.subscribe_topic(_TOPIC, see)
    try:
        yield
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.unsubscribe_topic(_TOPIC)
