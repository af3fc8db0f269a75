"""Enrichers: functions that learn something about an event, and what becomes of what they return or raise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, NoReturn, Protocol, TypedDict, TypeVar, runtime_checkable

import attrs

from holded_pipeline.enriching import checks
from holded_pipeline.enriching.builtin import Quality
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.results import no_json, plain_result
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
from holded_pipeline.user_code.read_only import CHANGE_REJECTED

T = TypeVar("T")
EnrichFunction = Callable[[Event], Mapping[str, Any]]
OnError = Literal["reject", "skip", "fail"]


@runtime_checkable
class EnrichBatch(Protocol):
    """An enricher that takes several events at once, for instance to ask a server once for all of them."""

    def enrich_batch(self, events: Sequence[Event]) -> Sequence[Mapping[str, Any] | Exception]:
        """For each event, in this order, its result, or the exception that is that event's own."""
        ...


AnyEnricher = EnrichFunction | EnrichBatch | AbstractContextManager[Any]
"""What can be an enricher; what a context manager's `__enter__` returns must be one of the other two."""


@runtime_checkable
class RunAware(Protocol):
    """An enricher that wants to know the run it belongs to; asked once, when the pipeline is built."""

    def for_run(self, run_id: str) -> AnyEnricher:
        """The enricher for this run."""
        ...


class RetryPolicy(Protocol):
    """How long an outage is waited out; `hp.Retry` is one."""

    def call(self, attempt: Callable[[], T], *, server: str, is_transient: Callable[[Exception], bool]) -> T:
        """Calls `attempt` until it returns, or for as long as it makes sense."""
        ...


class EnricherOptions(TypedDict, total=False):
    """The options of an `Enricher`, for what takes them in its place."""

    version: str | None
    on_error: OnError
    timeout: float | None
    retry: RetryPolicy | None
    transient: tuple[type[Exception], ...]
    batch_size: int
    batch_seconds: float


@attrs.frozen
class Enricher:
    """An enricher under its name.

    Attributes:
        name: where the result stands in `event.metadata`.
        function: `(event) -> mapping`; or an object with `enrich_batch(events) -> list`, see `EnrichBatch`. The
            mapping must be JSON. Either may raise `RejectRecord`. An object with `__enter__` and `__exit__` is
            opened once per worker, and what `__enter__` returns is what is called. The events it is given cannot
            be changed. Its attributes `name`, `version` and `deterministic` are read, if it has them.
        version: kept with the event, and told in error messages; by default the function's attribute `version`.
        on_error: what becomes of an event for which it raises, is too slow, or returns no JSON: `reject` the event
            with reason `enricher_error`, `enricher_timeout` or `enricher_output`, `skip` this enricher for it, or
            `fail` the run with an `EnricherError`. `RejectRecord` rejects the event whatever this says. An
            outage (an `OSError`, or one of `transient`) always fails the run: it is never the event's fault.
        timeout: seconds that a call may take, for one event or for one batch; None for as long as it likes.
        retry: how long an outage is waited out; None for not at all.
        transient: exceptions, beside `OSError`, that mean that a server is away.
        batch_size: events given to `enrich_batch` at once, at the most.
        batch_seconds: how long events wait for a batch to fill, as long as others come.
    """

    name: str = attrs.field(validator=checks.usable_name)
    function: AnyEnricher = attrs.field(validator=[checks.no_enricher_itself, checks.usable_function])
    version: str | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(checks.usable_version)
    )
    on_error: OnError = attrs.field(default="reject", kw_only=True, validator=checks.usable_on_error)
    timeout: float | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(checks.usable_seconds)
    )
    retry: RetryPolicy | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(checks.usable_retry)
    )
    transient: tuple[type[Exception], ...] = attrs.field(default=(), kw_only=True, validator=checks.exception_types)
    batch_size: int = attrs.field(default=100, kw_only=True, validator=checks.usable_batch_size)
    batch_seconds: float = attrs.field(default=1.0, kw_only=True, validator=checks.usable_seconds)

    def __attrs_post_init__(self) -> None:
        own = getattr(self.function, "version", None)
        if self.version is None and isinstance(own, str | int | float):  # who writes version = 1.0 means "1.0"
            object.__setattr__(self, "version", str(own))
            attrs.validate(self)

    def __call__(self, event: Event) -> Event:
        """The event with this enricher's result: opens, calls and closes it, without timeout and retry.

        Raises:
            RejectRecord: the enricher refused the event, or failed for it and `on_error` is `reject`.
            EnricherError: it failed, and `on_error` is `fail`.
            TransientError: it met an outage.
            ConfigurationError: it misses a file or a grant.
        """
        draft = Draft(event)
        with self.opened() as opened:
            outcome = result_or_error(self.callee(opened), [draft.view] if self.takes_batches else draft.view)
        if self.takes_batches:
            batch = check_batch_result(outcome, 1)
            outcome = batch[0] if isinstance(batch, list) else batch
        self.settle(draft, outcome)
        return draft.event()

    @property
    def takes_batches(self) -> bool:
        """Whether it is called with several events at once."""
        return hasattr(self.function, "enrich_batch")

    @property
    def deterministic(self) -> bool:
        """Whether the same event gets the same result, as the function declares; by default it does."""
        return bool(getattr(self.function, "deterministic", True))

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Opens the function if it is a context manager; gives what `__enter__` returned, else the function itself."""
        function: Any = self.function
        if not checks.opens_and_closes(function):
            yield function
            return
        fault = None
        with function as entered:
            try:
                yield entered
            except BaseException as error:
                fault = error
                raise
        if fault is not None:  # an __exit__ that returns True may not hide what is none of its own
            raise fault

    def callee(self, opened: Any) -> Callable[[Any], Any]:
        """What is called of an opened function: with an event, or with a list of events if it takes batches.

        Raises:
            ConfigurationError: there is nothing to call.
        """
        callee: Callable[[Any], Any] | None = getattr(opened, "enrich_batch", None) if self.takes_batches else opened
        if not callable(callee):
            found = "None" if opened is None else f"an object of the type {type(opened).__name__}"
            also = "; the enricher itself must have enrich_batch, too" if hasattr(opened, "enrich_batch") else ""
            advice = "give it a __call__(self, event)" if opened is self.function else "let it return self"
            raise ConfigurationError(
                f"the enricher {self} cannot be called: its __enter__ returned {found}; {advice}{also}"
            )
        return callee

    def settle(self, draft: Draft, outcome: Any) -> None:
        """Adds to an event what this enricher returned for it; or does what is to be done about what it raised.

        Args:
            draft: the event.
            outcome: the result, or an exception.

        Raises:
            RejectRecord, EnricherError, TransientError, ConfigurationError: see `__call__`.
        """
        try:
            result = self._checked(outcome, draft)
        except EnricherFault as fault:
            if self.on_error == "skip":
                draft.skip(self.name, self.version, fault.text)
            else:
                self._raise(fault, draft.before)
        else:
            draft.add(self.name, self.version, result)

    def _checked(self, outcome: Any, draft: Draft) -> dict[str, Any]:
        if isinstance(outcome, BaseException):
            self._raised(outcome, draft.before)
        result = result_or_error(plain_result, outcome)  # looking at it may run a stranger's code
        if isinstance(result, EnricherFault):
            raise result
        if isinstance(result, BaseException):
            raise no_json(result) from result
        if draft.was_changed:
            raise EnricherFault("enricher_error", f"{CHANGE_REJECTED}{self._suspicion()}")
        found: dict[str, Any] = result
        return found

    def _suspicion(self) -> str:
        """Which rules may have done what this enricher did, if it judges by rules of others."""
        rules = self.function.others_rules if isinstance(self.function, Quality) else ()
        if not rules:
            return ""
        return f"; {'its rule' if len(rules) == 1 else 'one of its rules'} {', '.join(rules)} did"

    def _raised(self, error: BaseException, event: Event) -> NoReturn:
        if isinstance(error, EnricherFault):
            raise error
        if isinstance(error, RejectRecord):
            raise bounded_rejection(error, f"the enricher {self}") from error
        failure = run_failure(error, self.transient, self.called_for(event))
        if failure is not None:
            raise failure from error
        raise EnricherFault("enricher_error", f"raised {describe_error(error)}") from error

    def _raise(self, fault: EnricherFault, event: Event) -> NoReturn:
        cause = fault.__cause__
        if self.on_error == "reject":
            raise RejectRecord(fault.reason, f"the enricher {self} {fault.text}") from cause
        kind = TransientError if fault.reason == "enricher_timeout" else EnricherError
        raise kind(f"{self.called_for(event)} {fault.text}") from cause

    def called_for(self, event: Event) -> str:
        """The enricher and the event, for a message."""
        place = "" if event.source is None else f" at {event.source}"
        return f"the enricher {self}, called for event {event.id}{place},"

    def for_run(self, run_id: str) -> Enricher:
        """This enricher for one run.

        Raises:
            ConfigurationError, TransientError: its function has a `for_run` that raises, or gives no enricher.
        """
        if not isinstance(self.function, RunAware):
            return self
        ask = self.function.for_run
        outcome = result_or_error(lambda run_id: attrs.evolve(self, function=ask(run_id)), run_id)
        if isinstance(outcome, Enricher):
            return outcome
        whose = f"for_run of the enricher {self}"
        raise run_failure(outcome, self.transient, whose) or ConfigurationError(
            f"{whose} raised {describe_error(outcome)}; let it return the enricher of the run"
        ) from outcome

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"


def as_enricher(enricher: AnyEnricher | Enricher) -> Enricher:
    """A plain function or object becomes an enricher of its own name."""
    if isinstance(enricher, Enricher):
        return enricher
    checks.usable_function(None, None, enricher)  # what is no enricher at all needs no name
    name = getattr(enricher, "name", None) or getattr(enricher, "__name__", "")
    return Enricher(str(name), enricher)
