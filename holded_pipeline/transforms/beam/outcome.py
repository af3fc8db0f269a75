"""What the transforms that refuse records share: their outputs, their counters, the way to an error handler."""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows

from holded_pipeline.model.values import Outcome, Rejected
from holded_pipeline.transforms.beam import coders  # noqa: F401  registers how the outputs travel

REJECTED = "rejected"
PASSED = "passed"
NAMESPACE = "holded_pipeline"

T = TypeVar("T")


class RejectingTransform(beam.PTransform, Generic[T]):
    """A transform with two outputs, `passed` and `rejected`.

    Subclasses return `self._outcome(outputs, of)` from `expand`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._error_handler: Any = None

    def with_error_handler(self, error_handler: Any) -> Self:
        """Sends what is rejected to Beam's `ErrorHandler` (`apache_beam.transforms.error_handling`).

        The transform then returns the PCollection of what passed, alone.
        """
        self._error_handler = error_handler
        return self

    def _outcome(self, passed: beam.PCollection, rejected: beam.PCollection, of: Any) -> Any:
        passed.element_type = of
        rejected.element_type = Rejected
        if self._error_handler is None:
            return Outcome(passed, rejected)
        self._error_handler.add_error_pcollection(in_the_global_window(rejected))
        return passed


def in_the_global_window(elements: beam.PCollection, label: str = "ToGlobalWindow") -> beam.PCollection:
    """The same elements in the global window, where rejections of any transform can be joined.

    A Flatten reads all its inputs with the windows of the first, and fails over others.
    """
    if elements.windowing.is_default():
        return elements
    return elements | label >> beam.WindowInto(GlobalWindows())


class Counters:
    """Beam counters `<stage>.<name>` of one stage, in the namespace `holded_pipeline`."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._counters: dict[str, Any] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Adds to a counter; it is made the first time."""
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = Metrics.counter(NAMESPACE, f"{self._stage}.{name}")
        counter.inc(amount)

    def rejected(self, rejected: Rejected) -> beam.pvalue.TaggedOutput:
        """Counts a rejection, also by its reason, and makes it an output."""
        self.add("rejected")
        self.add(f"rejected.{rejected.reason}")
        return beam.pvalue.TaggedOutput(REJECTED, rejected)
