"""run and report: runs a pipeline that is built, and says what it did."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
from apache_beam.runners.runner import PipelineState

from holded_pipeline.model.errors import HoldedPipelineError
from holded_pipeline.runs.progress import show_progress
from holded_pipeline.runs.run_report import RunReport, RunState
from holded_pipeline.transforms.beam.counts import counts_of_result
from holded_pipeline.transforms.beam.live_counts import LiveCounts
from holded_pipeline.transforms.beam.local_workers import runs_in_this_process
from holded_pipeline.transforms.beam.quiet_errors import quiet_library_errors
from holded_pipeline.transforms.beam.recorded_runs import recorded_name
from holded_pipeline.transforms.beam.run_errors import error_for_user
from holded_pipeline.transforms.beam.run_id import run_id_of

_logger = logging.getLogger("holded_pipeline")


def report(result: Any) -> RunReport:
    """What a finished run did, from Beam's result of it.

    Args:
        result: what `pipeline.run()` returned, or what a `with beam.Pipeline()` block left in `pipeline.result`.

    Returns:
        The report. Beam's result knows neither the run's id nor its time; `hp.run` gives a report that does.

    Example:
        >>> p = beam.Pipeline(runner="FnApiRunner")
        >>> raw = p | hp.ReadMinIO(lake, "raw/")
        >>> _ = raw.rejected | hp.WriteRejected(lake, "rejected/")
        >>> result = p.run()
        >>> _ = result.wait_until_finish()
        >>> hp.report(result).records
        50

    **Guarantees:** counters of several steps with the same name are added, each once.
    """
    state: RunState = "succeeded" if result.state == PipelineState.DONE else "failed"
    return RunReport("", "", state, None, None, counts_of_result(result), result=result)


def run(
    pipeline: beam.Pipeline,
    *,
    progress: bool | None = None,
    name: str | None = None,
) -> RunReport:
    """Runs a pipeline that is built, waits for its end, and returns what it did.

    Args:
        pipeline: the pipeline; it must not have been run.
        progress: whether progress is shown while it runs. None shows a bar on a terminal and in a notebook, and
            elsewhere a line to stderr every ten seconds; True also shows one for a shorter run. The bar needs
            the extra `progress`; without it there are lines.
        name: what the report calls the pipeline; by default the name under which its runs are recorded.

    Returns:
        The report; `print(report)` shows it as a table, a notebook as HTML. `report.result` is Beam's own.

    Example:
        >>> p = beam.Pipeline(runner="FnApiRunner")
        >>> raw = p | hp.ReadMinIO(lake, "raw/")
        >>> loaded = raw.passed | hp.WritePostgres(db)
        >>> _ = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        >>> report = hp.run(p, name="load")
        >>> report.records, report.stored, report.is_balanced
        (50, 50, True)

    Raises:
        HoldedPipelineError: the run failed by an error of this library, which it is; its text begins with what is
            wrong, also where the runner has only the traceback of a worker.
        RuntimeError: the run ended in another state than done.

    **Guarantees:** the pipeline runs once. An error that is not of this library is raised as Beam raised it.
    """
    run_id = run_id_of(pipeline)
    began, began_at = time.monotonic(), datetime.now(UTC)
    try:
        with quiet_library_errors(), show_progress(LiveCounts(), progress, unseen=_unseen(pipeline)):
            result = pipeline.run()
            state = result.wait_until_finish()
    except BaseException as error:
        raised = error_for_user(error)
        if raised is error and not isinstance(error, HoldedPipelineError):
            raise
        _logger.debug("the run %s failed", run_id, exc_info=error)
        raise raised.with_traceback(None) from None
    if state != PipelineState.DONE:
        raise RuntimeError(f"the run {run_id} ended in state {state}")
    seconds = time.monotonic() - began
    name = recorded_name(pipeline) if name is None else name
    return RunReport(run_id, name, "succeeded", began_at, seconds, counts_of_result(result), result=result)


def _unseen(pipeline: beam.Pipeline) -> str:
    """What is shown as long as no counts are seen."""
    if runs_in_this_process(pipeline):
        return "listing"
    return "running; workers in other processes show their counts at the end"
