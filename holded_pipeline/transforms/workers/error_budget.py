"""Fails a run in which too many records were rejected, after they were written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import BoundedWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.model.errors import TooManyRejectedError
from holded_pipeline.model.values import Rejected
from holded_pipeline.rejected.error_budget import ErrorBudget, Tally
from holded_pipeline.runs.share_results import BudgetUse, ShareAttempt
from holded_pipeline.transforms.beam.collected import collected_by
from holded_pipeline.transforms.beam.run_id import step_of
from holded_pipeline.transforms.beam.share_of_run import attempt_of
from holded_pipeline.transforms.workers.write_objects import WriteWindowedObjects

TALLY = "tally"


class WriteAndTally(WriteWindowedObjects):
    """Writes rejected records and outputs, at the end of each bundle, a `Tally` of them.

    It counts by bundle, since a bundle that is retried would count twice otherwise. Past a limit that is a count it
    writes what it has buffered and fails, so that one wrong schema does not fill the store.
    """

    def __init__(self, *arguments: Any, budget: ErrorBudget, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._budget = budget

    def start_bundle(self) -> None:
        super().start_bundle()
        self._tally = Tally()
        self._window: BoundedWindow | None = None

    def process(self, element: Rejected, window: BoundedWindow = beam.DoFn.WindowParam) -> Iterator[Any]:
        yield from super().process(element, window)
        self._window = window
        self._tally.add(element.stage, element.reason, element.message)
        breach = self._budget.breach(self._tally, None)
        if breach is not None:
            for _ in super().finish_bundle():
                pass  # only that they are stored matters: the bundle fails
            raise TooManyRejectedError(breach)

    def finish_bundle(self) -> Iterator[Any]:
        yield from super().finish_bundle()
        if self._window is not None:
            written = WindowedValue(self._tally, self._window.max_timestamp(), (self._window,))
            yield beam.pvalue.TaggedOutput(TALLY, written)


class CheckBudget(beam.PTransform):
    """Fails the run if the tallies of what was written exceed the budget."""

    def __init__(self, budget: ErrorBudget, of: Iterable[beam.PCollection]) -> None:
        super().__init__()
        self._budget = budget
        self._of = tuple(of)

    def expand(self, tallies: beam.PCollection) -> beam.PCollection:
        """Sums up the rejections and the records; only counts are shuffled."""
        summed = (
            tallies | "AllWindows" >> beam.WindowInto(GlobalWindows()) | "SumUp" >> beam.CombineGlobally(_SumTallies())
        )
        if not self._of:
            return summed | "Check" >> beam.ParDo(self._check(tallies)).with_output_types(int)
        counts = tuple(
            records
            | f"AllWindows{number}" >> beam.WindowInto(GlobalWindows())
            | f"Count{number}" >> beam.combiners.Count.Globally()
            for number, records in enumerate(self._of, 1)
        )
        total = counts | "JoinCounts" >> beam.Flatten() | "Total" >> beam.CombineGlobally(sum)
        check = beam.ParDo(self._check(tallies), beam.pvalue.AsSingleton(total)).with_output_types(int)
        return summed | "Check" >> check

    def _check(self, tallies: beam.PCollection) -> beam.DoFn:
        attempt = attempt_of(tallies.pipeline)
        if attempt is None:
            return _CheckTally(self._budget)
        return _CollectTally(self._budget, attempt, step_of(tallies.pipeline))


class _SumTallies(beam.CombineFn):
    def create_accumulator(self) -> Tally:
        return Tally()

    def add_input(self, accumulator: Tally, element: Tally) -> Tally:
        accumulator.merge(element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Tally]) -> Tally:
        merged = Tally()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: Tally) -> Tally:
        return accumulator


class _CheckTally(beam.DoFn):
    def __init__(self, budget: ErrorBudget) -> None:
        self._budget = budget

    def process(self, tally: Tally, records: int | None = None) -> None:
        breach = self._budget.breach(tally, records)
        if breach is not None:
            raise TooManyRejectedError(breach)


class _CollectTally(beam.DoFn):
    """Checks nothing: the budget is that of all shares of the run together."""

    def __init__(self, budget: ErrorBudget, attempt: ShareAttempt, step: str) -> None:
        self._budget = budget
        self._attempt = attempt
        self._step = step

    def process(self, tally: Tally, records: int | None = None) -> None:
        collected_by(self._attempt).add_budget(BudgetUse(self._step, self._budget, tally, records))
