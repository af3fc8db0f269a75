"""Enrichers: functions that add to an event, and what happens with what they return or raise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import attrs

from holded_pipeline.enriching import checks
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher_types import AnyEnricher, OnError, RegistryAware, RetryPolicy, RunAware
from holded_pipeline.enriching.opening import callee_of, open_function
from holded_pipeline.enriching.results import PlainResult, not_json, plain_result
from holded_pipeline.model.errors import ConfigurationError, EnricherError, RejectRecord, TransientError
from holded_pipeline.model.values import Event
from holded_pipeline.user_code.errors import (
    EnricherFault,
    bounded_rejection,
    check_batch_result,
    describe_error,
    result_or_error,
    run_failure,
)
from holded_pipeline.user_code.read_only import CHANGE_REJECTED, read_only


@attrs.frozen
class Enricher:
    """An enricher under its name, with options.

    The function may be an object with further attributes and methods, all optional:

    * `name`, `version`, `deterministic`: the defaults of this enricher.
    * `for_run(run_id)` returns the enricher of one run; called once, when the pipeline is built.
    * `for_registry(registry)` returns the enricher for a `PluginRegistry`; called when the transform is written.
    * `reject_if(result)` gets what the enricher returned for an event, and raises `RejectRecord` to reject that event;
      called after the result was counted. It must be quick: no timeout holds for it.
    * `take_counts()` returns whole numbers by name, which are added to Beam's metrics after each bundle.
    * `user_code` lists the pieces of user code that it calls. Messages name the one that failed, by its `str`.

    Attributes:
        name: the entry of `event.metadata` that holds the result.
        function: `(event) -> mapping`; or an object with `enrich_batch(events) -> list`, see `EnrichBatch`. The
            mapping must be JSON. Either may raise `RejectRecord`. An object with `__enter__` and `__exit__` is
            opened once per worker, and what `__enter__` returns is called. The events passed to it are read-only.
        version: kept with the event and named in error messages; by default the function's attribute `version`.
        on_error: what happens with an event for which it raises, is too slow, or returns no JSON: `reject` the event
            with reason `enricher_error`, `enricher_timeout` or `enricher_output`, `skip` this enricher for it, or
            `fail` the run with an `EnricherError`. `RejectRecord` always rejects the event. An outage (an `OSError`,
            or one of `transient`) always fails the run, since the event did not cause it.
        timeout: seconds that one call may take, for one event or for one batch; None for no limit.
        retry: how long calls are retried in an outage; None for not at all.
        transient: exceptions, beside `OSError`, that mean that a server does not answer.
        batch_size: the most events that one call of `enrich_batch` gets.
        batch_seconds: how long events wait for a batch to fill, while others arrive.

    Example:
        >>> def total(event):
        ...     return {"total": sum(line["amount"] for line in event.data.get("lines", []))}
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     enriched = raw.passed | hp.Enrich(hp.Enricher("total", total, version="1", on_error="skip"))

    Raises:
        ValueError, TypeError: an argument cannot be used; the message says which and why.
    """

    name: str = attrs.field(validator=checks.validate_name)
    function: AnyEnricher = attrs.field(validator=[checks.validate_no_enricher, checks.validate_function])
    version: str | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(checks.validate_version)
    )
    on_error: OnError = attrs.field(default="reject", kw_only=True, validator=checks.validate_on_error)
    timeout: float | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(checks.validate_seconds)
    )
    retry: RetryPolicy | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(checks.validate_retry)
    )
    transient: tuple[type[Exception], ...] = attrs.field(
        default=(), kw_only=True, validator=checks.validate_exception_types
    )
    batch_size: int = attrs.field(default=100, kw_only=True, validator=checks.validate_batch_size)
    batch_seconds: float = attrs.field(default=1.0, kw_only=True, validator=checks.validate_seconds)

    def __attrs_post_init__(self) -> None:
        default = getattr(self.function, "version", None)
        if self.version is None and isinstance(default, str | int | float):  # version = 1.0 means "1.0"
            object.__setattr__(self, "version", str(default))
            attrs.validate(self)

    def __call__(self, event: Event) -> Event:
        """The event with this enricher's result: opens, calls and closes it, without timeout and retry.

        Raises:
            RejectRecord: the enricher rejected the event, or failed for it and `on_error` is `reject`.
            EnricherError: it failed, and `on_error` is `fail`.
            TransientError: it met an outage.
            ConfigurationError: it lacks a file or a grant.
        """
        draft = Draft(event)
        with self.opened() as opened:
            outcome = result_or_error(self.callee(opened), [draft.view] if self.takes_batches else draft.view)
        if self.takes_batches:
            batch = check_batch_result(outcome, 1)
            outcome = batch[0] if isinstance(batch, list) else batch
        self.apply_outcome(draft, outcome)
        self.check_result(draft)
        return draft.event()

    @property
    def takes_batches(self) -> bool:
        """Whether it is called with several events at once."""
        return hasattr(self.function, "enrich_batch")

    @property
    def deterministic(self) -> bool:
        """Whether the same event gets the same result, as the function declares; by default it does."""
        return bool(getattr(self.function, "deterministic", True))

    @property
    def user_code(self) -> tuple[Any, ...]:
        """The pieces of user code that the function calls, as it declares them; each one's `str` names it."""
        listed = getattr(self.function, "user_code", ())
        return tuple(listed) if isinstance(listed, list | tuple) else ()

    def opened(self) -> AbstractContextManager[Any]:
        """Opens the function if it is a context manager; gives what `__enter__` returned, else the function itself."""
        return open_function(self.function)

    def callee(self, opened: Any) -> Callable[[Any], Any]:
        """What is called of an opened function; see `callee_of`.

        Raises:
            ConfigurationError: there is nothing to call.
        """
        return callee_of(self.function, opened, self)

    def apply_outcome(self, draft: Draft, outcome: Any) -> None:
        """Adds to an event what this enricher returned for it; or skips, rejects or fails, if it raised.

        Args:
            draft: the event.
            outcome: the result, or an exception.

        Raises:
            RejectRecord, EnricherError, TransientError, ConfigurationError: see `__call__`.
        """
        try:
            result = self._result_of(outcome, draft)
        except EnricherFault as fault:
            self._skip_or_raise(fault, draft)
        else:
            draft.add(self.name, self.version, *result)

    def check_result(self, draft: Draft) -> None:
        """Lets the function reject an event by the result that was added to it, if it has `reject_if`.

        Raises:
            RejectRecord, EnricherError, TransientError, ConfigurationError: see `__call__`.
        """
        reject_if = getattr(self.function, "reject_if", None)
        result = draft.result(self.name)
        if reject_if is None or result is None:
            return
        error = result_or_error(reject_if, read_only(result))
        if isinstance(error, BaseException):
            try:
                self._raise_for(error, draft.before)
            except EnricherFault as fault:
                self._skip_or_raise(fault, draft)

    def _result_of(self, outcome: Any, draft: Draft) -> PlainResult:
        if isinstance(outcome, BaseException):
            self._raise_for(outcome, draft.before)
        result = result_or_error(plain_result, outcome)  # reading it may run user code
        if isinstance(result, EnricherFault):
            raise result
        if isinstance(result, BaseException):
            raise not_json(result) from result
        if draft.was_changed:
            raise EnricherFault("enricher_error", f"{CHANGE_REJECTED}{self._suspects()}")
        found: PlainResult = result
        return found

    def _suspects(self) -> str:
        """The user code that may have changed the event, as the end of a message."""
        names = [str(each) for each in self.user_code]
        if not names:
            return ""
        return f"; {names[0]} did" if len(names) == 1 else f"; one of these did: {', '.join(names)}"

    def _raise_for(self, error: BaseException, event: Event) -> NoReturn:
        if isinstance(error, EnricherFault):
            raise error
        if isinstance(error, RejectRecord):
            raise bounded_rejection(error, f"the enricher {self}") from error
        failure = run_failure(error, self.transient, self.describe_call(event))
        if failure is not None:
            raise failure from error
        raise EnricherFault("enricher_error", f"raised {describe_error(error)}") from error

    def _skip_or_raise(self, fault: EnricherFault, draft: Draft) -> None:
        if self.on_error == "skip":
            draft.skip(self.name, self.version, fault.text)
            return
        cause = fault.__cause__
        if self.on_error == "reject":
            raise RejectRecord(fault.reason, f"the enricher {self} {fault.text}") from cause
        kind = TransientError if fault.reason == "enricher_timeout" else EnricherError
        raise kind(f"{self.describe_call(draft.before)} {fault.text}") from cause

    def describe_call(self, event: Event) -> str:
        """The enricher and the event, as the beginning of a message."""
        position = "" if event.source is None else f" at {event.source}"
        return f"the enricher {self}, called for event {event.id}{position},"

    def for_run(self, run_id: str) -> Enricher:
        """This enricher for one run.

        Raises:
            ConfigurationError, TransientError: its function has a `for_run` that raises, or returns no enricher.
        """
        if not isinstance(self.function, RunAware):
            return self
        for_run = self.function.for_run
        outcome = result_or_error(lambda run_id: attrs.evolve(self, function=for_run(run_id)), run_id)
        if isinstance(outcome, Enricher):
            return outcome
        whose = f"for_run of the enricher {self}"
        raise run_failure(outcome, self.transient, whose) or ConfigurationError(
            f"{whose} raised {describe_error(outcome)}; let it return the enricher of the run"
        ) from outcome

    def for_registry(self, registry: Any) -> Enricher:
        """This enricher for a registry of plugins."""
        if not isinstance(self.function, RegistryAware):
            return self
        return attrs.evolve(self, function=self.function.for_registry(registry))

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"


def as_enricher(enricher: AnyEnricher | Enricher) -> Enricher:
    """A plain function or object becomes an enricher of its own name."""
    if isinstance(enricher, Enricher):
        return enricher
    checks.validate_function(None, None, enricher)  # first, since what is no enricher at all needs no name
    name = getattr(enricher, "name", None) or getattr(enricher, "__name__", "")
    return Enricher(str(name), enricher)
