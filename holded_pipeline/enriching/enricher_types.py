"""The forms that an enricher can have, and the methods that it may have beside its call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, TypedDict, TypeVar, runtime_checkable

from holded_pipeline.model.values import Event

T = TypeVar("T")
EnrichFunction = Callable[[Event], Mapping[str, Any]]
OnError = Literal["reject", "skip", "fail"]


@runtime_checkable
class EnrichBatch(Protocol):
    """An enricher that takes several events at once, for instance to query a server once for all of them."""

    def enrich_batch(self, events: Sequence[Event]) -> Sequence[Mapping[str, Any] | Exception]:
        """For each event, in the same order, its result, or the exception that concerns this event alone."""
        ...


AnyEnricher = EnrichFunction | EnrichBatch | AbstractContextManager[Any]
"""What can be an enricher; what a context manager's `__enter__` returns must be one of the other two."""


@runtime_checkable
class RunAware(Protocol):
    """An enricher that depends on the run."""

    def for_run(self, run_id: str) -> AnyEnricher:
        """The enricher for this run; called once, when the pipeline is built."""
        ...


@runtime_checkable
class RegistryAware(Protocol):
    """An enricher that depends on what plugins registered."""

    def for_registry(self, registry: Any) -> AnyEnricher:
        """The enricher for this `PluginRegistry`; called when the transform is written."""
        ...


class RetryPolicy(Protocol):
    """How long calls are retried in an outage; `hp.Retry` is one."""

    def call(self, attempt: Callable[[], T], *, server: str, is_transient: Callable[[Exception], bool]) -> T:
        """Calls `attempt` until it returns, raises a lasting error, or the deadline has passed."""
        ...


class EnricherOptions(TypedDict, total=False):
    """The options of an `Enricher`, for functions that pass them on."""

    version: str | None
    on_error: OnError
    timeout: float | None
    retry: RetryPolicy | None
    transient: tuple[type[Exception], ...]
    batch_size: int
    batch_seconds: float
