"""What the transforms that reject records share: their outputs, their counters, and Beam's error handler."""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows

from holded_pipeline.model.values import Outcome, Rejected
from holded_pipeline.transforms.beam import (
    coders,  # noqa: F401  registers the coders of the outputs
    live_counts,
)
from holded_pipeline.transforms.beam.counts import NAMESPACE
from holded_pipeline.transforms.beam.notebook import require_notebook_packages
from holded_pipeline.transforms.beam.quiet_errors import quiet_worker_process
from holded_pipeline.transforms.beam.temporary_folder import remove_folder_with
from holded_pipeline.transforms.beam.unread_outputs import require_reader

quiet_worker_process()  # the steps that come into such a process are imported there, and this with them

REJECTED = "rejected"
PASSED = "passed"

T = TypeVar("T")


class RejectingTransform(beam.PTransform, Generic[T]):
    """A transform with two outputs, `passed` and `rejected`.

    Subclasses return `self._outcome(passed, rejected, element_type)` from `expand`.
    """

    def __init__(self) -> None:
        require_notebook_packages()
        super().__init__()
        self._error_handler: Any = None

    def with_error_handler(self, error_handler: Any) -> Self:
        """Sends rejected records to Beam's `ErrorHandler` (`apache_beam.transforms.error_handling`).

        The transform then returns only the PCollection of what passed.
        """
        self._error_handler = error_handler
        return self

    def _outcome(self, passed: beam.PCollection, rejected: beam.PCollection, element_type: Any) -> Any:
        passed.element_type = element_type
        rejected.element_type = Rejected
        remove_folder_with(passed.pipeline)
        if self._error_handler is None:
            require_reader(rejected)
            return Outcome(passed, rejected)
        self._error_handler.add_error_pcollection(to_global_window(rejected))
        return passed


def to_global_window(elements: beam.PCollection, label: str = "ToGlobalWindow") -> beam.PCollection:
    """Moves elements to the global window, so that a Flatten can join rejections of several transforms.

    A Flatten reads all its inputs with the windows of the first, and fails for inputs with other windows.
    """
    if elements.windowing.is_default():
        return elements
    return elements | label >> beam.WindowInto(GlobalWindows())


_FLUSH_ELEMENTS = 1_000


class Counters:
    """Beam counters `<stage>.<name>` of one stage, in the namespace `holded_pipeline`.

    A Beam counter costs as much as a small step of the pipeline, so they are added up here. Each DoFn that counts calls
    `flush` at the end of its bundle; a bundle may hold the whole input, so it is also done from time to time.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._counters: dict[str, Any] = {}
        self._pending: dict[str, int] = {}
        self._until_flush = _FLUSH_ELEMENTS

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        live_counts.register_counting(self)  # the copy that counts; the one that was pickled stays in the driver

    def pending(self) -> dict[str, int]:
        """What was counted since the last flush, by the full names; another thread may ask."""
        return {f"{self._stage}.{name}": amount for name, amount in self._pending.copy().items()}

    def add(self, name: str, amount: int = 1) -> None:
        """Adds to a counter, which is created at its first use."""
        pending = self._pending
        pending[name] = pending.get(name, 0) + amount
        self._until_flush -= 1
        if not self._until_flush:
            self.flush()

    def flush(self) -> None:
        """Adds to Beam's counters what was counted since the last time."""
        for name, amount in self._pending.items():
            counter = self._counters.get(name)
            if counter is None:
                counter = self._counters[name] = Metrics.counter(NAMESPACE, f"{self._stage}.{name}")
            counter.inc(amount)
        with live_counts.lock:
            live_counts.add_live(self.pending())
            self._pending.clear()
        self._until_flush = _FLUSH_ELEMENTS

    def rejected(self, rejected: Rejected) -> beam.pvalue.TaggedOutput:
        """Counts a rejection, in total and by its reason, and tags it for the output `rejected`."""
        self.add("rejected")
        self.add(f"rejected.{rejected.reason}")
        return beam.pvalue.TaggedOutput(REJECTED, rejected)
