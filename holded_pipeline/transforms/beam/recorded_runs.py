"""Records the runs of a pipeline in PostgreSQL: by a runner that passes everything on to the pipeline's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.run_arguments import recordable, versions
from holded_pipeline.runs.run_rows import BegunRun
from holded_pipeline.transforms.beam.run_id import RunOptions, run_id_of
from holded_pipeline.transforms.beam.run_recorder import RunRecorder
from holded_pipeline.transforms.beam.share_of_run import attempt_of

_RUN_WITHOUT_COPY = {"SwitchingDirectRunner", "InteractiveRunner"}


def record_run(
    pipeline: beam.Pipeline,
    db: Postgres,
    name: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    creates_tables: bool = True,
) -> None:
    """Lets each run of a pipeline be recorded in `pipeline_runs`: that it began, that it is alive, how it ended.

    Called again for the same pipeline and database, it only adds the arguments; the first name stays.

    Args:
        pipeline: that is being built.
        db: where its runs are recorded.
        name: of the pipeline in the record.
        creates_tables: whether the run creates and migrates the tables.
        arguments: recorded beside the pipeline's options; secrets are left out by their names and types.

    Raises:
        ConfigurationError: the runner of the pipeline loses records (see `runners`).
    """
    run_id = run_id_of(pipeline)
    if attempt_of(pipeline) is not None:
        return  # the run is recorded by whoever placed its shares
    runner = pipeline.runner
    while isinstance(runner, RecordingRunner):
        if runner.db == db:
            runner.arguments.update(arguments or {})
            runner.creates_tables = runner.creates_tables and creates_tables
            return
        runner = runner.runner
    recording = RecordingRunner(pipeline.runner, db, run_id, name, dict(arguments or {}))
    recording.creates_tables = creates_tables
    pipeline.runner = recording


def begun_run(
    db: Postgres, run_id: str, name: str, arguments: Mapping[str, Any], code_version: str | None = None
) -> BegunRun:
    """What is recorded of a run that this process begins; secrets are left out of its arguments."""
    secrets = [] if db.password is None else [db.password.reveal()]
    return BegunRun(
        run_id=run_id,
        name=name,
        host=socket.gethostname(),
        process_id=os.getpid(),
        versions=versions(code_version),
        arguments=recordable(arguments, secrets),
    )


def recorded_name(pipeline: beam.Pipeline) -> str:
    """The name under which the runs of a pipeline are recorded; empty if they are not."""
    return pipeline.runner.name if isinstance(pipeline.runner, RecordingRunner) else ""


def own_runner(pipeline: beam.Pipeline) -> PipelineRunner:
    """The runner that a pipeline was made with."""
    runner = pipeline.runner
    while isinstance(runner, RecordingRunner):
        runner = runner.runner
    return runner


class RecordingRunner(PipelineRunner):
    """Runs a pipeline on its own runner, and records the run."""

    creates_tables = True

    def __init__(self, runner: PipelineRunner, db: Postgres, run_id: str, name: str, arguments: dict[str, Any]) -> None:
        self.runner = runner
        self.db = db
        self.name = name
        self.arguments = arguments
        self._run_id = run_id

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> PipelineResult:
        """Runs it; the result records the end of a run that goes on after this."""
        recorder = RunRecorder(self.db, self._begun(options), creates_tables=self.creates_tables)
        recorder.begin()
        try:
            result = self.runner.run_pipeline(pipeline, options)
        except BaseException as error:
            recorder.fail(error)
            raise
        recorder.watch(result)
        if PipelineState.is_terminal(result.state):
            recorder.end(result)
            return result
        return _RecordedResult(result, recorder)

    def _begun(self, options: PipelineOptions) -> BegunRun:
        given = options.get_all_options(drop_default=True, retain_unknown_options=True)
        arguments = {**given, **self.arguments}
        return begun_run(self.db, self._run_id, self.name, arguments, options.view_as(RunOptions).code_version)

    def apply(self, transform: Any, input: Any, options: PipelineOptions) -> Any:  # noqa: A002  Beam's name
        """Applies a transform as the pipeline's own runner does."""
        return self.runner.apply(transform, input, options)

    def is_fnapi_compatible(self) -> bool:
        """Whether Beam runs the pipeline itself, not a copy; it knows two runners by the names of their classes."""
        return self.runner.is_fnapi_compatible() or type(self.runner).__name__ in _RUN_WITHOUT_COPY

    def __getattr__(self, name: str) -> Any:
        if name == "runner":  # not set yet, as while it is copied
            raise AttributeError(name)
        return getattr(self.runner, name)


class _RecordedResult(PipelineResult):
    """The result of a run that goes on: its end is recorded by whoever waits for it."""

    def __init__(self, result: PipelineResult, recorder: RunRecorder) -> None:
        super().__init__(result.state)
        self._result = result
        self._recorder = recorder

    @property
    def state(self) -> Any:
        """The state of the run now."""
        return self._result.state

    def wait_until_finish(self, duration: int | None = None) -> Any:
        """Waits for the end, or for so many milliseconds."""
        try:
            state = self._result.wait_until_finish(duration)
        except BaseException as error:
            self._recorder.fail(error)
            raise
        if PipelineState.is_terminal(self._result.state):
            self._recorder.end(self._result)
        return state

    def cancel(self) -> Any:
        """Cancels the run."""
        return self._result.cancel()

    def metrics(self) -> Any:
        """Beam's metrics."""
        return self._result.metrics()

    def aggregated_values(self, aggregator_or_name: Any) -> Any:
        """Beam's aggregated values."""
        return self._result.aggregated_values(aggregator_or_name)

    def __getattr__(self, name: str) -> Any:
        if name == "_result":
            raise AttributeError(name)
        return getattr(self._result, name)
