"""run_every: bounded runs one after the other, one at a time over all machines."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import apache_beam as beam
import attrs

from holded_pipeline.postgres.postgres import Postgres, require_postgres
from holded_pipeline.runs.lease import Lease
from holded_pipeline.runs.metrics import RunMetrics
from holded_pipeline.runs.run_loop import RunLoop, RunObserver, RunsSummary
from holded_pipeline.runs.run_report import RunReport
from holded_pipeline.runs.stop_signals import stopping_on_signals
from holded_pipeline.runs.tracing import run_span
from holded_pipeline.transforms.beam.run_id import RunOptions
from holded_pipeline.transforms.run import run

BuildPipeline = Callable[[], beam.Pipeline]


def run_every(
    build: BuildPipeline,
    db: Postgres,
    *,
    name: str,
    every: float = 60.0,
    stop: threading.Event | None = None,
    max_runs: int | None = None,
    lease_seconds: float = 30.0,
    lease_wait: float = math.inf,
    on_report: Callable[[RunReport], object] | None = None,
    metrics: RunMetrics | None = None,
    metrics_port: int | None = None,
    tracer_provider: Any = None,
    progress: bool = False,
) -> RunsSummary:
    """Runs a pipeline again and again, one run at a time over all machines, until it is stopped.

    Args:
        build: builds and returns the pipeline of one run, a new one each time. Let it read with `new_only=ledger`.
        db: holds the lease, in `pipeline_leases`.
        name: of the lease: of all processes that use this name, one runs and the others wait to take over.
        every: seconds from the begin of a run to that of the next, which begins at once if the run took longer.
        stop: ends it after the run that is going on, once it is set.
        max_runs: ends it after so many runs, those that failed included; None for no end.
        lease_seconds: after which another process takes over, if this one is gone.
        lease_wait: at most so many seconds for the lease; 0 ends at once where another process has it.
        on_report: is given the report of each run.
        metrics: counts the runs; by default new ones, if there is a port.
        metrics_port: serves `/metrics` on 127.0.0.1; needs the extra `metrics`.
        tracer_provider: of OpenTelemetry: a span for each run; needs the extra `tracing`.
        progress: whether the progress of each run is shown.

    Returns:
        How many runs there were, and what they did.

    Example:
        >>> def build():
        ...     p = beam.Pipeline(runner="FnApiRunner")
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     loaded = raw.passed | hp.WritePostgres(db)
        ...     _ = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        ...     return p
        >>> summary = hp.run_every(build, db, name="load", every=0.1, max_runs=2)
        >>> summary.succeeded, summary.stored
        (2, 50)

    Raises:
        ConfigurationError: something is set up wrong, and no run has succeeded yet.
        TypeError: the same, for `build` that fails or returns no new pipeline.
        TransientError: the database does not answer, and `lease_wait` has an end.
        KeyboardInterrupt: Ctrl-C was pressed a second time.

    **Guarantees:** runs under one name do not overlap, as long as their processes reach the database: the lease is
    renewed before each run, and a process that lost it waits for it. A run that was begun before its process was cut
    off is not ended; a ledger makes it harmless. After a run that failed the next begins in 5 s, then in twice as long
    each time up to 5 min or `every`, with jitter. SIGTERM and Ctrl-C let the run end first, where this is called in the
    main thread; elsewhere use `stop`.
    """
    require_postgres(db, "run_every")
    if not 0 < every < math.inf:
        raise ValueError(f"every must be more than 0 seconds, got {every}")
    if max_runs is not None and max_runs < 1:
        raise ValueError(f"max_runs must be 1 or more, got {max_runs}")
    stop = stop or threading.Event()
    if metrics is None and metrics_port is not None:
        metrics = RunMetrics(name)
    builder = _Builder(build)
    loop = RunLoop(
        partial(_run_once, builder, name, tracer_provider, progress),
        Lease(db, name, seconds=lease_seconds),
        every=every,
        stop=stop,
        max_runs=math.inf if max_runs is None else max_runs,
        lease_wait=lease_wait,
        observers=_observers(metrics, on_report),
        failed_run_id=builder.run_id,
    )
    with stopping_on_signals(stop):
        if metrics is None or metrics_port is None:
            return loop()
        with metrics.serving(metrics_port):
            return loop()


@attrs.define
class _Builder:
    """Builds the pipeline of each run, and sees that it is a new one."""

    build: BuildPipeline
    _last: beam.Pipeline | None = None
    _is_built: bool = False

    def __call__(self) -> beam.Pipeline:
        self._is_built = False
        pipeline = self.build()
        if not isinstance(pipeline, beam.Pipeline):
            raise TypeError(f"build must return the pipeline that it built, a beam.Pipeline; got {pipeline!r}")
        if pipeline is self._last:
            raise TypeError("build returned the pipeline of the run before; build a new one each time")
        self._last, self._is_built = pipeline, True
        return pipeline

    def run_id(self) -> str:
        """The id of the run of the last pipeline; empty if that could not be built."""
        if self._last is None or not self._is_built:
            return ""
        return str(self._last.options.view_as(RunOptions).run_id or "")


def _run_once(build: _Builder, name: str, tracer_provider: Any, progress: bool) -> RunReport:  # noqa: FBT001
    with run_span(tracer_provider, name) as describe:
        report = run(build(), progress=progress, name=name)
        describe(report)
        return report


@attrs.frozen
class _ReportCall:
    """Passes each report to a function."""

    on_report: Callable[[RunReport], object]

    def observe(self, report: RunReport) -> None:
        self.on_report(report)

    def observe_lease(self, lease: Lease) -> None:
        """Nothing to do."""


def _observers(metrics: RunMetrics | None, on_report: Callable[[RunReport], object] | None) -> tuple[RunObserver, ...]:
    found: list[RunObserver] = [] if metrics is None else [metrics]
    return tuple(found if on_report is None else [*found, _ReportCall(on_report)])
